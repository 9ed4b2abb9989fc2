import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, link, open, rename, rm, truncate } from "node:fs/promises";
import { BerthError, isBerthError } from "@berth/errors";
import type { Fault } from "../fault.ts";
import {
  blobDirectory,
  blobPath,
  fileError,
  isErrno,
  type Layout,
  makeBlobDirectory,
  release,
  sizeOf,
  syncDirectory,
  writeFully,
} from "./files.ts";
import type { Growth } from "./growth.ts";

/** bytes that may wait for the disk before the writer is asked to wait; a few chunks, so that disk and network overlap. */
const highWater = 4 * 1024 * 1024;
/**
 * bytes after which the kernel is asked to start writing. Done while more arrives, it leaves the last fsync little to do;
 * without it a 400 MB layer would end with a pause as long as its writing.
 */
const syncEvery = 32 * 1024 * 1024;

export interface UploadOptions {
  layout: Layout;
  /** The unfinished file. */
  path: string;
  /** What the bytes must hash to, when it is known. */
  digest: string | undefined;
  /** bytes; 0 when not known */
  size: number;
  growth: Growth | undefined;
  fault: Fault;
  /** False: nobody can find the part again, so it goes when the upload is let go. */
  resumable: boolean;
  /** Called once, however the upload ends. */
  onEnd: () => void;
}

export interface Committed {
  digest: string;
  /** bytes */
  size: number;
}

/**
 * One blob being written by one caller: write() any number of times, then exactly one of commit(), suspend() (keeps the
 * part for a later resume) and discard().
 */
export class Upload {
  /** Where the caller has to go on from. */
  readonly offset: number;
  readonly #options: UploadOptions;
  readonly #handle: FileHandle;
  readonly #hash: Hash;
  /** Bytes taken, written, and asked to be on the disk. */
  #taken: number;
  #written: number;
  #synced: number;
  #queue: Buffer[] = [];
  readonly #given = new Set<Buffer>();
  #flushing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #failure: BerthError | undefined;
  #ended = false;

  private constructor(options: UploadOptions, handle: FileHandle, hash: Hash, offset: number) {
    this.#options = options;
    this.#handle = handle;
    this.#hash = hash;
    this.offset = offset;
    this.#taken = offset;
    this.#written = offset;
    this.#synced = offset;
  }

  /** Opens the part, and hashes again what is there of it, in bounded pieces. */
  static async open(options: UploadOptions, signal: AbortSignal): Promise<Upload> {
    const { path, size, growth } = options;
    try {
      let offset = (await sizeOf(path)) ?? 0;
      if (size > 0 && offset > size) {
        await truncate(path, 0);
        offset = 0;
      }
      const hash = createHash("sha256");
      if (offset > 0) {
        for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, end: offset - 1, signal })) {
          hash.update(chunk as Buffer);
        }
      }
      const handle = await open(path, offset > 0 ? "r+" : "w", 0o600);
      growth?.opened(size, offset);
      return new Upload(options, handle, hash, offset);
    } catch (error) {
      options.onEnd();
      throw isErrno(error, "ABORT_ERR") ? error : fileError(error, path);
    }
  }

  /** Bytes that were taken so far, with those of earlier uploads that this one resumes. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes the next bytes; the buffer must not change afterwards.
   * @param mine true when the caller gives the buffer away: its memory is freed once it is written
   * @returns a promise only when the caller must wait for it before it sends more
   * @throws DATA_LOSS when there are more bytes than announced, NO_SPACE when the disk is full
   */
  write(chunk: Buffer, mine = false): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (chunk.length === 0) return undefined;
    const { size } = this.#options;
    if (size > 0 && this.#taken + chunk.length > size) {
      throw new BerthError("DATA_LOSS", `blob ${this.#name()} is larger than the ${size} bytes it was announced with`);
    }
    this.#hash.update(chunk);
    this.#taken += chunk.length;
    this.#queue.push(chunk);
    if (mine) this.#given.add(chunk);
    this.#flushing ??= this.#flush();
    return this.#taken - this.#written > highWater ? this.#room() : undefined;
  }

  /**
   * Ends the upload: all bytes on the disk, checked, and only then under their own name.
   * @throws DATA_LOSS when they are not what was announced; the part is gone then. INVALID_ARGUMENT when some are missing
   */
  async commit(): Promise<Committed> {
    const { size, digest, path, layout, fault } = this.#options;
    try {
      await this.#settle();
      if (size > 0 && this.#written < size) {
        throw new BerthError("INVALID_ARGUMENT", `blob ${this.#name()} has ${this.#written} of ${size} bytes`);
      }
      const actual = `sha256:${this.#hash.digest("hex")}`;
      if (digest !== undefined && actual !== digest) {
        throw new BerthError("DATA_LOSS", `blob ${digest} has digest ${actual}`, { digest, actual });
      }
      fault("blob.written");
      await this.#handle.sync();
      await this.#handle.close();
      fault("blob.synced");
      await this.#publish(actual);
      fault("blob.renamed");
      await syncDirectory(blobDirectory(layout, actual));
      fault("blob.durable");
      await this.#complete();
      this.#end();
      return { digest: actual, size: this.#written };
    } catch (error) {
      const failure = isBerthError(error) ? error : fileError(error, path);
      if (failure.reason === "INVALID_ARGUMENT") await this.suspend();
      else await this.#fail(failure);
      throw failure;
    }
  }

  /** Lets go, keeping what is written for a later upload of the same blob. After a failed write, nothing is kept. */
  async suspend(): Promise<void> {
    if (this.#ended) return;
    if (!this.#options.resumable) return this.#fail(new BerthError("CANCELLED", "the upload was given up"));
    try {
      await this.#settle();
      await this.#handle.close();
      this.#options.growth?.suspended();
      this.#end();
    } catch (error) {
      await this.#fail(isBerthError(error) ? error : fileError(error, this.#options.path));
    }
  }

  /** Lets go and deletes what was written; followers fail with `failure`. */
  async discard(failure: BerthError): Promise<void> {
    if (!this.#ended) await this.#fail(failure);
  }

  /**
   * Gives the file its own name. One that can be followed keeps the other name beside it: a reader may be told that one at any
   * moment before the growth is complete, and it goes with the last reader.
   */
  async #publish(digest: string): Promise<void> {
    const { growth, layout, path } = this.#options;
    const final = blobPath(layout, digest);
    await makeBlobDirectory(layout, digest);
    if (growth === undefined) return rename(path, final);
    await link(path, final).catch((error: unknown) => {
      if (!isErrno(error, "EEXIST")) throw error;
    });
  }

  /** Whoever comes from now on finds the blob whole; the part's name goes at once if nobody was told it. */
  async #complete(): Promise<void> {
    const { growth, path } = this.#options;
    if (growth === undefined) return;
    growth.completed(this.#written);
    if (growth.followers === 0) await rm(path, { force: true }).catch(() => {});
  }

  async #flush(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const buffers = this.#queue;
        this.#queue = [];
        this.#written = await writeFully(this.#handle, buffers, this.#written);
        for (const buffer of buffers) if (this.#given.delete(buffer)) release(buffer);
        this.#options.growth?.advanced(this.#written);
        this.#startSync();
      }
    } catch (error) {
      this.#failure = fileError(error, this.#options.path);
      this.#queue = [];
    }
    this.#flushing = undefined;
  }

  #startSync(): void {
    if (this.#syncing !== undefined || this.#written - this.#synced < syncEvery) return;
    this.#synced = this.#written;
    this.#syncing = this.#handle
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= fileError(error, this.#options.path);
      })
      .finally(() => {
        this.#syncing = undefined;
      });
  }

  async #room(): Promise<void> {
    await this.#flushing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #settle(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#syncing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #fail(failure: BerthError): Promise<void> {
    this.#queue = [];
    while (this.#flushing !== undefined) await this.#flushing;
    await this.#syncing;
    await this.#handle.close().catch(() => {});
    await rm(this.#options.path, { force: true }).catch(() => {});
    this.#options.growth?.failed(failure);
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnd();
  }

  #name(): string {
    return this.#options.digest ?? "of unknown digest";
  }
}
