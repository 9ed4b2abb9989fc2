import { constants } from "node:fs";
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { digestHex } from "@berth/oci";

/** Where blobs and unfinished uploads lie below the store's own directory. */
export interface Layout {
  readonly blobs: string;
  readonly uploads: string;
}

export async function openLayout(dir: string): Promise<Layout> {
  const layout = { blobs: join(dir, "blobs", "sha256"), uploads: join(dir, "uploads") };
  await mkdir(layout.uploads, { recursive: true, mode: 0o700 });
  if ((await mkdir(layout.blobs, { recursive: true, mode: 0o700 })) !== undefined) {
    await syncDirectory(join(dir, "blobs"));
    await syncDirectory(dir);
  }
  return layout;
}

/** Makes the directory that a blob's name goes into, durably, if it is not there. */
export async function makeBlobDirectory(layout: Layout, digest: string): Promise<void> {
  const made = await mkdir(blobDirectory(layout, digest), { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(layout.blobs);
}

export function blobDirectory(layout: Layout, digest: string): string {
  return join(layout.blobs, digestHex(digest).slice(0, 2));
}

export function blobPath(layout: Layout, digest: string): string {
  return join(blobDirectory(layout, digest), digestHex(digest));
}

/** The unfinished file of a blob whose digest is known. */
export function partPath(layout: Layout, digest: string): string {
  return join(layout.uploads, `sha256-${digestHex(digest)}`);
}

/** A directory's new names are on the disk only after the directory itself is synced. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Bytes of a file, undefined when there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw fileError(error, path);
  }
}

/** Writes all buffers at a position; a short write (a nearly full disk, a signal) goes on where it stopped. */
export async function writeFully(handle: FileHandle, buffers: Buffer[], position: number): Promise<number> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, at);
    at += bytesWritten;
    rest = dropBytes(rest, bytesWritten);
  }
  return at;
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let left = count;
  for (const [index, buffer] of buffers.entries()) {
    if (left < buffer.length) return [buffer.subarray(left), ...buffers.slice(index + 1)];
    left -= buffer.length;
  }
  return [];
}

/**
 * Frees a buffer's memory now. Left to the collector, the 64 KiB buffers of a large upload bring on a full collection every
 * 20 MB, which cost more than the hashing. Only for a buffer that nobody else can have a part of: one that is all of its
 * memory.
 */
export function release(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === buffer.byteLength && buffer.byteLength > 4096)
    memory.transfer(0);
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}

/** A file system's failure as the domain tells it: a full disk is NO_SPACE, all else INTERNAL. */
export function fileError(error: unknown, path: string): BerthError {
  const { code = "", syscall = "access" } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new BerthError("NO_SPACE", `write ${path}: no space left on device`, { errno: code }, { cause: error });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new BerthError("INTERNAL", `${syscall} ${path}: ${text}`, { errno: code }, { cause: error });
}
