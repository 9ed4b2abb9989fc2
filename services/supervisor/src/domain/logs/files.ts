import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** A log file of a container, held open: rotation renames it under us, compression replaces it, and neither changes what we read. */
export interface LogFile {
  readonly fd: number;
  /** Inode and time of birth, those of the plain file also when this is its compressed copy. */
  readonly id: string;
  readonly compressed: boolean;
}

/** `.1` is the newest rotated one. */
const pathOf = (path: string, index: number): string => (index === 0 ? path : `${path}.${index}`);
const maxFiles = 10_000;
const attempts = 1_000;
/** bytes of a gzip header before its comment (RFC 1952), and the most that the comment takes. */
const gzipHeader = 10;
const maxComment = 118;

/**
 * The ids of a log's files at one moment, newest first. Without a thread: looking takes microseconds, and so a rotation (a
 * row of renames from the oldest file to the current one) rarely falls into it. When it does it shows as a gap, as a file met
 * twice or as another current file, and we look again.
 */
function snapshot(path: string): string[] {
  let found: string[] = [];
  for (let attempt = 0; attempt < attempts; attempt++) {
    found = [];
    let index = 0;
    for (; index < maxFiles; index++) {
      const id = idAt(path, index);
      if (id === undefined) break;
      found.push(id);
    }
    const gap = idAt(path, index + 1) !== undefined;
    const steady = !gap && new Set(found).size === found.length && idAt(path, 0) === found[0];
    if (steady) return found;
  }
  return found;
}

/** While a file and its compressed copy are both there, the plain one counts. */
function idAt(path: string, index: number): string | undefined {
  const name = pathOf(path, index);
  const plain = statSync(name, { throwIfNoEntry: false, bigint: true });
  if (plain !== undefined) return `${plain.ino}:${plain.birthtimeNs}`;
  if (index === 0) return undefined;
  const fd = tryOpen(`${name}.gz`);
  if (fd === undefined) return undefined;
  try {
    return compressedId(fd);
  } finally {
    closeSync(fd);
  }
}

/** The gzip header's comment is "INODE:BIRTH_NS:END" (native/isolation/PROTOCOL.md). */
function compressedId(fd: number): string {
  const head = Buffer.alloc(gzipHeader + maxComment);
  const length = readSync(fd, head, 0, head.length, 0);
  const end = head.indexOf(0, gzipHeader);
  const comment = head.toString("latin1", gzipHeader, end < 0 ? length : end);
  return comment.slice(0, comment.lastIndexOf(":"));
}

function plainId(fd: number): string {
  const { ino, birthtimeNs } = fstatSync(fd, { bigint: true });
  return `${ino}:${birthtimeNs}`;
}

/** Opens the file met at `index`, which may have been moved on or compressed since; undefined when it is gone. */
function openId(path: string, id: string, index: number): LogFile | undefined {
  for (let at = index; at < index + 8; at++) {
    const name = pathOf(path, at);
    for (const compressed of [false, true]) {
      const fd = tryOpen(compressed ? `${name}.gz` : name);
      if (fd === undefined) continue;
      if ((compressed ? compressedId(fd) : plainId(fd)) === id) return { fd, id, compressed };
      closeSync(fd);
    }
  }
  return undefined;
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** All files of a log, oldest first. Throws the file system's error. */
export function openAll(path: string): LogFile[] {
  return snapshot(path)
    .map((id, index) => openId(path, id, index))
    .filter((file) => file !== undefined)
    .reverse();
}

/** The file that follows one that was rotated; undefined when that one is still current. */
export function openSuccessor(path: string, id: string): LogFile | undefined {
  // Asked at every write of a log that is followed, nearly always in vain.
  if (idAt(path, 0) === id) return undefined;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const ids = snapshot(path);
    const own = ids.indexOf(id);
    // Not there at all: rotated out, and the oldest of what is left comes next.
    const next = own < 0 ? ids.length - 1 : own - 1;
    const wanted = ids[next];
    if (wanted === undefined) return undefined;
    const file = openId(path, wanted, next);
    if (file !== undefined) return file;
  }
  return undefined;
}

export function closeAll(files: readonly LogFile[]): void {
  for (const { fd } of files) closeSync(fd);
}
