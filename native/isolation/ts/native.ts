/**
 * Loads the addon and types what it exports, in the order and with the names of the C++ side (src/addon). Plain data only:
 * every field is given, null means none. The other files here give these calls defaults and better shapes; use those.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What a failed call throws: `code` is the errno's name, `syscall` the call and `path` what it was done to. */
export interface NativeError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string;
  /** What the call's name and the error number do not say; may be empty. */
  readonly detail: string;
}

export const isNativeError = (error: unknown): error is NativeError =>
  error instanceof Error && "syscall" in error && "code" in error && "errno" in error;

export interface Watch {
  readonly id: number;
  readonly promise: Promise<string>;
}

export interface NativeApplyOptions {
  readonly source: { readonly kind: "file" | "follow" | "push"; readonly path: string | null };
  readonly target: string;
  readonly whiteouts: boolean;
  readonly hashCompressed: boolean;
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly sync: boolean;
  readonly faithful: boolean;
  readonly deferLinks: boolean;
}

export interface NativeApplyResult {
  readonly diffId: string;
  readonly compressedDigest: string | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly entries: number;
  readonly fileBytes: number;
  readonly implied: string[];
  readonly links: string[];
}

export interface NativeLayerApply {
  start(): Promise<NativeApplyResult>;
  write(chunk: Buffer): Promise<void> | undefined;
  advance(size: number): void;
  complete(): void;
  abort(): void;
  bytesIn(): number;
}

export interface NativeLayerDiff {
  read(): Promise<Buffer | null>;
  result(): { diffId: string; digest: string; size: number; tarSize: number } | null;
  abort(): void;
}

export interface NativeView {
  readonly process: number;
  readonly parent: number;
  readonly rootfs: readonly { type: string; source: string; base: string; options: readonly string[] }[];
  readonly binds: readonly { source: string; destination: string; readOnly: boolean; recursive: boolean }[];
  readonly at: string;
  readonly throwaway: boolean;
  readonly alone: boolean;
}

export interface NativePathStatus {
  readonly size: number;
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly target: string;
}

export interface NativeTreeRead {
  start(): Promise<NativePathStatus | null>;
  read(): Promise<Buffer | null>;
  abort(): void;
}

export interface NativeTreeWrite {
  start(): { readonly opened: Promise<boolean>; readonly done: Promise<boolean> };
  write(chunk: Buffer): Promise<void> | undefined;
  complete(): void;
  abort(): void;
}

export interface NativeLogSendOptions {
  readonly files: readonly { fd: number; compressed: boolean; from: number; length: number }[];
  readonly compact: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  readonly details: boolean;
  readonly framed: boolean;
  readonly since: string;
  readonly until: string;
  readonly inbox: string;
}

export interface Native {
  mount(options: {
    source: string;
    target: string;
    type: string | null;
    flags: number;
    data: string | null;
  }): Promise<void>;
  umount(target: string, flags: number): Promise<void>;
  mountOverlay(options: {
    target: string;
    lower: readonly string[];
    upper: string | null;
    work: string | null;
    base: string | null;
    options: readonly string[];
    readOnly: boolean;
    privatePropagation: boolean;
  }): Promise<void>;
  statfs(path: string): Promise<{
    type: number;
    blockSize: number;
    blocks: number;
    freeBlocks: number;
    availableBlocks: number;
    files: number;
    freeFiles: number;
  }>;
  quotasEnforced(directory: string): Promise<boolean>;
  assignProject(directory: string, project: number): Promise<boolean>;
  limitProject(directory: string, project: number, bytes: number): Promise<void>;
  projectOf(directory: string): Promise<number>;
  syncfs(path: string): Promise<void>;
  openInRoot(root: string, path: string, flags: number, mode: number): Promise<number>;
  copyXattrs(from: string, to: string): Promise<void>;
  getXattr(path: string, name: string): Promise<Buffer | null>;
  pipe(): [number, number];
  listenUnix(path: string, mode: number, backlog: number): number;
  sendDatagrams(path: string, messages: readonly Buffer[], large: boolean): Promise<void>;
  spawnDetached(options: {
    file: string;
    args: readonly string[];
    env: readonly string[];
    fds: readonly number[];
    cgroup: null;
  }): Promise<{ pid: number; exitCode: number }>;
  watchReport(fd: number, timeoutMs: number): Watch;
  watchPidfd(fd: number): Watch;
  cancelWatch(id: number): void;
  pidfdOpen(pid: number): number;
  killPidfd(fd: number, signal: number): void;
  readonly LayerApply: new (options: NativeApplyOptions) => NativeLayerApply;
  inheritDirectories(target: string, lower: readonly string[], paths: readonly string[]): Promise<void>;
  copyUpLinks(
    target: string,
    lower: readonly string[],
    links: readonly string[],
    maxBytes: number,
  ): Promise<{ implied: string[]; fileBytes: number }>;
  readonly LayerDiff: new (options: {
    upper: string;
    whiteouts: boolean;
    gzip: boolean;
    live: boolean;
    faithful: boolean;
    lower: readonly string[];
    ignored: readonly string[];
  }) => NativeLayerDiff;
  layerChanges(options: {
    upper: string;
    lower: readonly string[];
    ignored: readonly string[];
  }): Promise<{ kinds: number[]; paths: string[] }>;
  copyUp(options: {
    lower: readonly string[];
    scratch: string;
    source: string;
    target: string;
    subpath: string;
  }): Promise<string>;
  removeTree(path: string): Promise<void>;
  diskUsage(path: string): Promise<{ bytes: number; inodes: number; fileBytes: number }>;
  statPath(view: NativeView, path: string): Promise<NativePathStatus>;
  resolveDirectory(view: NativeView, path: string): Promise<string>;
  makeDirectory(view: NativeView, path: string): Promise<void>;
  checkUser(view: NativeView, user: string): Promise<void>;
  readonly LogSend: new (
    options: NativeLogSendOptions,
  ) => {
    start(): { readonly opened: Promise<boolean>; readonly done: Promise<void> };
    abort(): void;
  };
  handOver(path: string, fd: number, head: Buffer): Promise<void>;
  readonly TreeRead: new (view: NativeView, path: string | null, inbox: string | null) => NativeTreeRead;
  readonly TreeWrite: new (
    view: NativeView,
    options: { directory: string; keepKind: boolean; user: string | null; inbox: string | null },
  ) => NativeTreeWrite;
}

const built = "native/isolation/build/addon/isolation.node";

/** Beside a bundled service, or in the tree that this file or the bundle is part of. */
function findAddon(): string {
  const given = process.env["BERTH_ISOLATION_ADDON"];
  if (given) return given;
  const start = dirname(fileURLToPath(import.meta.url));
  for (let directory = start; ; directory = dirname(directory)) {
    for (const candidate of [join(directory, "isolation.node"), join(directory, built)]) {
      if (existsSync(candidate)) return candidate;
    }
    if (directory === dirname(directory)) break;
  }
  throw new Error(`the native addon is not built: no ${built} in or above ${start}`);
}

export const native = createRequire(import.meta.url)(findAddon()) as Native;
