import { type FileHandle, open, stat } from "node:fs/promises";

/** A log file of a container, held open: rotation renames it under us and changes nothing of what we read. */
export interface LogFile {
  handle: FileHandle;
  inode: bigint;
}

/** `.1` is the newest rotated one. */
const pathOf = (path: string, index: number): string => (index === 0 ? path : `${path}.${index}`);
const maxFiles = 10_000;
const attempts = 16;

/** All files of a log, oldest first, as they were at one moment (a rotation while they are opened is noticed). */
export async function openAll(path: string): Promise<LogFile[]> {
  for (let attempt = 0; ; attempt++) {
    const files = await openChain(path);
    const current = await inodeOf(path);
    if (current === (files.at(-1)?.inode ?? undefined) || attempt === attempts) return files;
    await closeAll(files);
  }
}

async function openChain(path: string): Promise<LogFile[]> {
  const files: LogFile[] = [];
  for (let index = 0; index < maxFiles; index++) {
    const file = await openOne(pathOf(path, index));
    if (file === undefined) break;
    // The same file twice: it was rotated between two of our opens.
    if (files.some(({ inode }) => inode === file.inode)) await file.handle.close();
    else files.unshift(file);
  }
  return files;
}

async function openOne(path: string): Promise<LogFile | undefined> {
  try {
    const handle = await open(path, "r");
    const { ino } = await handle.stat({ bigint: true });
    return { handle, inode: ino };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export async function inodeOf(path: string): Promise<bigint | undefined> {
  return stat(path, { bigint: true }).then(
    ({ ino }) => ino,
    () => undefined,
  );
}

/** The file that follows one that was rotated; undefined when that one is still current, or nothing follows yet. */
export async function openSuccessor(path: string, inode: bigint): Promise<LogFile | undefined> {
  if ((await inodeOf(path)) === inode) return undefined;
  for (let index = 1; index < maxFiles; index++) {
    const found = await inodeOf(pathOf(path, index));
    if (found === inode) return openOne(pathOf(path, index - 1));
    // Rotated out: what there is of the oldest is what comes next.
    if (found === undefined) return openOne(pathOf(path, index - 1));
  }
  return undefined;
}

export async function closeAll(files: readonly LogFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

const blockSize = 64 * 1024;

/** Where the last `count` lines begin: reads backwards, block by block. */
export async function findTail(files: readonly LogFile[], count: number): Promise<{ index: number; offset: number }> {
  let wanted = count;
  for (let index = files.length - 1; index >= 0; index--) {
    const { handle } = files[index] as LogFile;
    const { size } = await handle.stat();
    const found = await findInFile(handle, size, wanted);
    if (found.offset !== undefined) return { index, offset: found.offset };
    wanted -= found.lines;
    if (wanted <= 0) return { index, offset: 0 };
  }
  return { index: 0, offset: 0 };
}

/** Offset behind the newline before the last `count` lines, or how many lines there are when they are fewer. */
async function findInFile(
  handle: FileHandle,
  size: number,
  count: number,
): Promise<{ offset: number | undefined; lines: number }> {
  const block = Buffer.allocUnsafe(blockSize);
  let lines = 0;
  for (let end = size; end > 0; ) {
    const begin = Math.max(0, end - blockSize);
    const { bytesRead } = await handle.read(block, 0, end - begin, begin);
    for (
      let at = block.subarray(0, bytesRead).lastIndexOf(10);
      at >= 0;
      at = at === 0 ? -1 : block.lastIndexOf(10, at - 1)
    ) {
      // The newline at the very end closes the last line and begins none.
      if (begin + at === size - 1) continue;
      lines++;
      if (lines === count) return { offset: begin + at + 1, lines };
    }
    end = begin;
  }
  return { offset: undefined, lines: size > 0 ? lines + 1 : 0 };
}
