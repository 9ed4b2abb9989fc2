import { closeSync, fstatSync, openSync, read, statSync } from "node:fs";
import { promisify } from "node:util";

/** A log file of a container, held open: rotation renames it under us and changes nothing of what we read. */
export interface LogFile {
  readonly fd: number;
  readonly inode: number;
}

const readInto = promisify(read);

export const readAt = async (
  { fd }: LogFile,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
): Promise<number> => (await readInto(fd, buffer, offset, length, position)).bytesRead;

export const sizeOf = ({ fd }: LogFile): number => fstatSync(fd).size;

/** `.1` is the newest rotated one. */
const pathOf = (path: string, index: number): string => (index === 0 ? path : `${path}.${index}`);
const maxFiles = 10_000;
const attempts = 1_000;

/**
 * The inodes of a log's files at one moment, newest first. Without a thread: looking takes microseconds, and so a rotation (a
 * row of renames from the oldest file to the current one) rarely falls into it. When it does it shows as a gap, as a file met
 * twice or as another current file, and we look again.
 */
function snapshot(path: string): number[] {
  let found: number[] = [];
  for (let attempt = 0; attempt < attempts; attempt++) {
    found = [];
    let index = 0;
    for (; index < maxFiles; index++) {
      const inode = inodeOf(pathOf(path, index));
      if (inode === undefined) break;
      found.push(inode);
    }
    const gap = inodeOf(pathOf(path, index + 1)) !== undefined;
    const steady = !gap && new Set(found).size === found.length && inodeOf(path) === found[0];
    if (steady) return found;
  }
  return found;
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Opens the file met at `index`, which may have been moved on since; undefined when it is gone. */
function openInode(path: string, inode: number, index: number): LogFile | undefined {
  for (let at = index; at < index + 8; at++) {
    const fd = tryOpen(pathOf(path, at));
    if (fd === undefined) continue;
    if (fstatSync(fd).ino === inode) return { fd, inode };
    closeSync(fd);
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
    .map((inode, index) => openInode(path, inode, index))
    .filter((file) => file !== undefined)
    .reverse();
}

/** The file that follows one that was rotated; undefined when that one is still current. */
export function openSuccessor(path: string, inode: number): LogFile | undefined {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const inodes = snapshot(path);
    const own = inodes.indexOf(inode);
    // Not there at all: rotated out, and the oldest of what is left comes next.
    const next = own < 0 ? inodes.length - 1 : own - 1;
    const wanted = inodes[next];
    if (wanted === undefined) return undefined;
    const file = openInode(path, wanted, next);
    if (file !== undefined) return file;
  }
  return undefined;
}

export function closeAll(files: readonly LogFile[]): void {
  for (const { fd } of files) closeSync(fd);
}

const blockSize = 64 * 1024;

/** Where the last `count` lines begin: reads backwards, block by block. */
export async function findTail(files: readonly LogFile[], count: number): Promise<{ index: number; offset: number }> {
  let wanted = count;
  for (let index = files.length - 1; index >= 0; index--) {
    const found = await findInFile(files[index] as LogFile, wanted);
    if (found.offset !== undefined) return { index, offset: found.offset };
    wanted -= found.lines;
    if (wanted <= 0) return { index, offset: 0 };
  }
  return { index: 0, offset: 0 };
}

/** Offset behind the newline before the last `count` lines, or how many lines there are when they are fewer. */
async function findInFile(file: LogFile, count: number): Promise<{ offset: number | undefined; lines: number }> {
  const block = Buffer.allocUnsafe(blockSize);
  const size = sizeOf(file);
  let lines = 0;
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - blockSize);
    const bytesRead = await readAt(file, block, 0, end - begin, begin);
    let at = block.subarray(0, bytesRead).lastIndexOf(10);
    for (; at >= 0; at = at === 0 ? -1 : block.lastIndexOf(10, at - 1)) {
      // The newline at the very end closes the last line and begins none.
      if (begin + at === size - 1) continue;
      lines++;
      if (lines === count) return { offset: begin + at + 1, lines };
    }
    end = begin;
  }
  return { offset: undefined, lines: size > 0 ? lines + 1 : 0 };
}
