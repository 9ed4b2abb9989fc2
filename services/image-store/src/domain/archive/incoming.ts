import { PassThrough, Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { BerthError, isAbortError, isBerthError } from "@berth/errors";
import { type Extract, extract } from "tar-stream";

export type Packing = "none" | "gzip" | "zstd";

/** bytes that a decompressor hands on at once */
const chunkSize = 256 * 1024;
const sniffed = 6;

/** How bytes are packed, going by how they begin. @throws NOT_IMPLEMENTED for packings that are known but not read */
export function packingOf(start: Buffer): Packing {
  if (start[0] === 0x1f && start[1] === 0x8b) return "gzip";
  if (start.length >= 4 && start.readUInt32LE(0) === 0xfd2fb528) return "zstd";
  if (start.subarray(0, 3).toString("latin1") === "BZh") throw notRead("bzip2");
  if (start.subarray(0, 6).equals(Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]))) throw notRead("xz");
  return "none";
}

function notRead(what: string): BerthError {
  return new BerthError("NOT_IMPLEMENTED", `archives packed with ${what} are not read`);
}

export function unpacker(packing: Packing): Transform {
  if (packing === "gzip") return createGunzip({ chunkSize });
  return packing === "zstd" ? createZstdDecompress({ chunkSize }) : new PassThrough();
}

/** The first few bytes of a stream, and the stream with them. */
export async function peek(source: AsyncIterable<Buffer>): Promise<{ start: Buffer; all: AsyncGenerator<Buffer> }> {
  const iterator = source[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < sniffed) {
    const { done, value } = await iterator.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield start;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) return;
      yield value;
    }
  }
  return { start, all: all() };
}

/** A file of a tar, its content still to be read; it must be, before the next one comes. */
export type TarEntry = Extract extends AsyncIterable<infer Entry> ? Entry : never;

/**
 * Reads a tar (plain, gzip or zstd) as it comes in.
 * @throws INVALID_ARGUMENT for what is no tar, or a torn one
 */
export async function* readTar(source: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<TarEntry> {
  const { start, all } = await peek(source);
  const tar: Extract = extract();
  const feeding = pipeline(Readable.from(all), unpacker(packingOf(start)), tar, { signal });
  // Told by the loop below; without this a failure that comes first would be taken for one that nobody handles.
  feeding.catch(() => {});
  try {
    for await (const entry of tar) yield entry;
    await feeding;
  } catch (error) {
    throw archiveError(error);
  } finally {
    tar.destroy();
  }
}

/** What Docker's own reader would have called it. */
export function archiveError(error: unknown): unknown {
  if (isBerthError(error) || isAbortError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/tar header/i.test(message)) return new BerthError("INVALID_ARGUMENT", "archive/tar: invalid tar header");
  if (/unexpected end|premature close|Unexpected end of data/i.test(message)) {
    return new BerthError("INVALID_ARGUMENT", "unexpected EOF");
  }
  return new BerthError("INVALID_ARGUMENT", `invalid archive: ${message}`, {}, { cause: error });
}
