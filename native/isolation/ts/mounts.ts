/** Mounts on the host. A container's own are made by the runtime inside its namespaces. */
import { readFile } from "node:fs/promises";
import { native } from "./native.ts";

/** Flags of mount(2) and umount2(2) in use (linux/mount.h). */
export const MS = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  REMOUNT: 0x20,
  BIND: 0x1000,
  REC: 0x4000,
  PRIVATE: 0x40000,
  SLAVE: 0x80000,
  SHARED: 0x100000,
} as const;
const MNT = { FORCE: 1, DETACH: 2, EXPIRE: 4, NOFOLLOW: 8 } as const;

export interface MountOptions {
  readonly source: string;
  readonly target: string;
  readonly type?: string;
  /** MS flags. */
  readonly flags?: number;
  /** The file system's own options, at most a page. */
  readonly data?: string;
}

/** mount(2). Throws {@link NativeError}. */
export const mount = ({ source, target, type, flags = 0, data }: MountOptions): Promise<void> =>
  native.mount({ source, target, type: type ?? null, flags, data: data ?? null });

/** umount2(2); `flags` of MNT. The last name of the path is not followed if it is a link. */
export const umount = (target: string, flags: number = MNT.NOFOLLOW): Promise<void> => native.umount(target, flags);

/** Takes a mount out of sight at once; it goes when the last one who uses it has gone. */
export const detach = (target: string): Promise<void> => umount(target, MNT.DETACH | MNT.NOFOLLOW);

export interface OverlayOptions {
  readonly target: string;
  /** Top first. */
  readonly lower: readonly string[];
  /** Both or neither; without them the mount is a read-only view. */
  readonly upper?: string;
  readonly work?: string;
  /** What relative directories are taken from. */
  readonly base?: string;
  readonly options?: readonly string[];
  readonly readOnly?: boolean;
}

/** Mounts overlayfs, without a limit on the list of layers where the kernel has lowerdir+ (6.8). The mount is private. */
export const mountOverlay = (overlay: OverlayOptions): Promise<void> =>
  native.mountOverlay({
    target: overlay.target,
    lower: overlay.lower,
    upper: overlay.upper ?? null,
    work: overlay.work ?? null,
    base: overlay.base ?? null,
    options: overlay.options ?? [],
    readOnly: overlay.readOnly ?? overlay.upper === undefined,
    privatePropagation: true,
  });

export interface MountInfo {
  readonly id: number;
  readonly parent: number;
  /** "major:minor" */
  readonly device: string;
  readonly root: string;
  readonly target: string;
  readonly options: readonly string[];
  /** "shared:1", "master:2" … */
  readonly optional: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** proc_pid_mountinfo(5) writes space, tab, newline and backslash as octal. */
const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    if (separator < 0) continue;
    const field = (index: number): string => fields[index] ?? "";
    mounts.push({
      id: Number(field(0)),
      parent: Number(field(1)),
      device: field(2),
      root: unescapeOctal(field(3)),
      target: unescapeOctal(field(4)),
      options: field(5).split(","),
      optional: fields.slice(6, separator),
      type: field(separator + 1),
      source: unescapeOctal(field(separator + 2)),
      superOptions: field(separator + 3).split(","),
    });
  }
  return mounts;
}

/** All mounts that this process (or `pid`) sees, in mount order. */
export const readMountInfo = async (pid: number | "self" = "self"): Promise<MountInfo[]> =>
  parseMountInfo(await readFile(`/proc/${pid}/mountinfo`, "utf8"));
