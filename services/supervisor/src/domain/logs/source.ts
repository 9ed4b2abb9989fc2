import { createReadStream, fstatSync, read } from "node:fs";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import type { LogFile } from "./files.ts";

const readInto = promisify(read);

export const readAt = async (
  { fd }: LogFile,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
): Promise<number> => (await readInto(fd, buffer, offset, length, position)).bytesRead;

/** bytes of a plain file. */
export const sizeOf = ({ fd }: LogFile): number => fstatSync(fd).size;

/** ms since the epoch; no record of a file is younger, but for the coarse clock of file systems. */
export const changedAt = ({ fd }: LogFile): number => fstatSync(fd).mtimeMs;

/** A log file's bytes from some place on, one block after another, plain or compressed. */
export interface Source {
  /** Bytes read into `buffer` at `offset`; 0 at the end, which for a file being written is not for ever. */
  read(buffer: Buffer, offset: number, length: number): Promise<number>;
  close(): void;
}

/** `from`: offset in the plain file. */
export function sourceOf(file: LogFile, from: number): Source {
  return file.compressed ? new GzipSource(file, from) : new PlainSource(file, from);
}

class PlainSource implements Source {
  readonly #file: LogFile;
  #position: number;

  constructor(file: LogFile, from: number) {
    this.#file = file;
    this.#position = from;
  }

  async read(buffer: Buffer, offset: number, length: number): Promise<number> {
    const count = await readAt(this.#file, buffer, offset, length, this.#position);
    this.#position += count;
    return count;
  }

  close(): void {}
}

/** Inflates as it is read: a block at a time, whatever the file's size. */
class GzipSource implements Source {
  readonly #stream: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  #skip: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor({ fd }: LogFile, from: number) {
    this.#skip = from;
    const file = createReadStream("", { fd, start: 0, autoClose: false });
    this.#stream = file.pipe(createGunzip({ chunkSize: 128 * 1024 }));
    file.on("error", (error) => this.#stream.destroy(error));
    this.#chunks = this.#stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  async read(buffer: Buffer, offset: number, length: number): Promise<number> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return 0;
      const skipped = Math.min(this.#skip, value.length);
      this.#skip -= skipped;
      this.#rest = value.subarray(skipped);
    }
    const count = this.#rest.copy(buffer, offset, 0, length);
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  close(): void {
    this.#stream.destroy();
  }
}
