/** Files of a container, by paths as its processes see them; see src/addon/view.h and src/tar/tree_*.h. */
import { type NativePathStatus, type NativeTreeWrite, type NativeView, native } from "./native.ts";

export type PathStatus = NativePathStatus;

/** Where a container's root file system is to be had. */
export type View =
  /** A running container: its first process, and that one's parent (process ids are used again, a pair of them is not). */
  | {
      readonly kind: "process";
      readonly pid: number;
      readonly parentPid: number;
      /** Its root file system alone: what is mounted in it shows as what it hides. Needs Linux 5.2 (ENOSYS). */
      readonly alone?: boolean;
    }
  /** One that does not run: mounted for the moment, in a mount namespace that nobody else sees. */
  | {
      readonly kind: "mounts";
      readonly rootfs: NativeView["rootfs"];
      readonly binds: NativeView["binds"];
      /** An empty directory to mount on. */
      readonly at: string;
      /** `rootfs` finds a tmpfs at `at`, with "upper" and "work": what is written to it is gone with the view. */
      readonly throwaway: boolean;
    };

const toNative = (view: View): NativeView =>
  view.kind === "process"
    ? {
        process: view.pid,
        parent: view.parentPid,
        rootfs: [],
        binds: [],
        at: "",
        throwaway: false,
        alone: view.alone ?? false,
      }
    : {
        process: 0,
        parent: 0,
        rootfs: view.rootfs,
        binds: view.binds,
        at: view.at,
        throwaway: view.throwaway,
        alone: false,
      };

/** lstat(2) inside; `target` is where a link leads to in the end. @throws ENOENT, ENOTDIR, ELOOP; ESRCH when the process has gone */
export const statPath = (view: View, path: string): Promise<PathStatus> => native.statPath(toNative(view), path);

/** The path of a directory without links. @throws as statPath */
export const resolveDirectory = (view: View, path: string): Promise<string> =>
  native.resolveDirectory(toNative(view), path);

/** Makes a directory of root's (mode 0755), with those above it; none of it is changed where it is there. @throws ENOTDIR, EROFS, ELOOP */
export const makeDirectory = (view: View, path: string): Promise<void> => native.makeDirectory(toNative(view), path);

/** Looks "name|uid[:group|gid]" up in the container's own files. @throws EINVAL, its `detail` in Docker's words; else as statPath */
export const checkUser = (view: View, user: string): Promise<void> => native.checkUser(toNative(view), user);

export interface TreeArchive {
  /** Of the path asked for; null for the whole root. */
  readonly status: PathStatus | null;
  /** The tar stream in pieces of up to 256 KiB; to be read or returned, which ends the work. */
  readonly pieces: AsyncGenerator<Buffer, void>;
}

/**
 * Archives what is under a path (null: the whole root), as it is being read: resolves once that is known to exist.
 * @param inbox where the bytes go, if they are to go past this process: the path of a socket to be made, at which the connection of a
 *   client is handed over (src/stream/handover.h) that is to get them as an HTTP body in chunks. No pieces come then but the end.
 * @throws as statPath; of the reading, EPIPE or ECONNRESET when such a client has gone
 */
export async function readTree(
  view: View,
  path: string | null,
  signal?: AbortSignal,
  inbox: string | null = null,
): Promise<TreeArchive> {
  signal?.throwIfAborted();
  const tree = new native.TreeRead(toNative(view), path, inbox);
  const status = await tree.start();
  return { status, pieces: piecesOf(tree, signal) };
}

async function* piecesOf(tree: { read(): Promise<Buffer | null>; abort(): void }, signal: AbortSignal | undefined) {
  const abort = () => tree.abort();
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    for (;;) {
      const piece = await tree.read();
      if (piece === null) return;
      yield piece;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    tree.abort();
  }
}

export interface TreeWriteOptions {
  /** Absolute, without links (resolveDirectory). */
  readonly directory: string;
  /** EEXIST instead of a directory in the place of something else, or the other way round. */
  readonly keepKind: boolean;
  /** "name:group" of the container, who is to own everything; null: whom the archive names. */
  readonly user: string | null;
  /** The archive is the body of a client's request, whose connection is handed over at a socket made here; null: it is written. */
  readonly inbox: string | null;
}

/**
 * A tar stream (plain, gzip, bzip2, xz, zstd) on its way into a container. `result` settles once: whether a connection that was handed
 * over may carry another request.
 */
export class TreeWrite {
  readonly result: Promise<boolean>;
  /** Whether the container's files have been found; `result` tells why not. Nothing is taken before. */
  readonly opened: Promise<boolean>;
  readonly #native: NativeTreeWrite;

  constructor(view: View, options: TreeWriteOptions, signal?: AbortSignal) {
    signal?.throwIfAborted();
    this.#native = new native.TreeWrite(toNative(view), options);
    const abort = () => this.#native.abort();
    signal?.addEventListener("abort", abort, { once: true });
    const { opened, done } = this.#native.start();
    this.opened = opened;
    this.result = done.finally(() => signal?.removeEventListener("abort", abort));
    // Whoever feeds it may be told of its failure only at the end; that must not count as unhandled until then.
    this.result.catch(() => {});
  }

  /** Resolves when more may come (at most 4 MiB wait inside). After the end it resolves and does nothing. */
  async write(chunk: Buffer): Promise<void> {
    await this.#native.write(chunk);
  }

  async finish(): Promise<void> {
    this.#native.complete();
    await this.result;
  }

  /** The result fails with ECANCELED, soon; what was written stays. */
  abort(): void {
    this.#native.abort();
  }
}

/** Gives a connection, which stays open here too and does not block, to the inbox at `path`, after `head` (src/stream/handover.h). */
export const handOver = (path: string, fd: number, head: Buffer): Promise<void> => native.handOver(path, fd, head);
