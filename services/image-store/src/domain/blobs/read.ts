import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { BerthError } from "@berth/errors";
import type { Digest } from "@berth/oci";
import { abortion, type BlobStore, noSuchBlob } from "./blob-store.ts";
import { fileError, isErrno, sizeOf } from "./files.ts";
import type { Growth } from "./growth.ts";

/** bytes of one data message */
const chunkSize = 256 * 1024;
/** A follower with a path hears of new bytes when there are so many, or when so much time has gone by. bytes, ms */
const sayEvery = { bytes: 1024 * 1024, ms: 20 };

/**
 * ms; long, for a layer may wait its turn behind large ones on a slow line. Whoever follows leaves when its pull fails.
 */
const defaultPatience = 6 * 3600 * 1000;

export interface ReadOptions {
  /** bytes */
  offset: number;
  /** bytes; 0 to the end */
  length: number;
  /** Also read a blob that is not whole yet, or not even begun. */
  follow: boolean;
  /** Answer with a path instead of bytes. */
  wantPath: boolean;
  /** ms without any progress after which a follower gives up. */
  patience?: number;
  signal: AbortSignal;
}

export type ReadPart =
  | { info: { size: number; path: string; complete: boolean } }
  | { data: Buffer }
  | { available: number };

/**
 * Reads a blob: first an info, then its bytes, or, for a caller with the same disk, how many are there. A good end means
 * that all bytes are there and right.
 * @throws NOT_FOUND; DATA_LOSS when the upload that is followed turns out wrong; UNAVAILABLE when it stands still for long
 */
export async function* readBlob(store: BlobStore, digest: Digest, options: ReadOptions): AsyncGenerator<ReadPart> {
  const size = await store.size(digest);
  if (size !== undefined) {
    yield* readWhole(store.path(digest), size, options);
    return;
  }
  if (!options.follow) throw noSuchBlob(digest);
  const growth = store.growth(digest);
  growth.followers++;
  try {
    yield* followGrowth(store, digest, growth, options);
  } finally {
    growth.followers--;
    store.forget(digest, growth);
  }
}

async function* readWhole(path: string, size: number, options: ReadOptions): AsyncGenerator<ReadPart> {
  const end = endOf(size, options);
  if (options.wantPath) {
    yield { info: { size, path, complete: true } };
    return;
  }
  const handle = await openForReading(path);
  try {
    yield { info: { size, path: "", complete: true } };
    yield* readRange(handle, options.offset, end, options.signal);
  } finally {
    await handle.close();
  }
}

async function* followGrowth(
  store: BlobStore,
  digest: Digest,
  growth: Growth,
  options: ReadOptions,
): AsyncGenerator<ReadPart> {
  const pace = new Pace(growth, options);
  while (growth.state === "idle") {
    const { changed } = growth;
    // Whole before this follower came to look: then no growth will ever tell.
    const size = await store.size(digest);
    if (size !== undefined) return yield* readWhole(store.path(digest), size, options);
    await pace.change(changed);
  }
  const path = store.partPath(digest);
  if (options.wantPath) {
    yield { info: { size: growth.size, path, complete: false } };
    yield* sayAvailable(growth, pace);
    return;
  }
  const handle = await openForReading((await sizeOf(path)) === undefined ? store.path(digest) : path);
  try {
    yield { info: { size: growth.size, path: "", complete: false } };
    yield* readGrowing(handle, growth, pace, options);
  } finally {
    await handle.close();
  }
}

/** Waits for a growth to change, no longer than the caller's patience, and not after it is gone. */
class Pace {
  readonly #growth: Growth;
  readonly #options: ReadOptions;
  readonly #aborted: Promise<void>;

  constructor(growth: Growth, options: ReadOptions) {
    this.#growth = growth;
    this.#options = options;
    this.#aborted = abortion(options.signal);
  }

  async change(changed = this.#growth.changed): Promise<void> {
    const { patience = defaultPatience, signal } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), patience);
    });
    const outcome = await Promise.race([changed, this.#aborted, tooLate]);
    clearTimeout(timer);
    signal.throwIfAborted();
    if (outcome === "late") {
      throw new BerthError("UNAVAILABLE", `the blob's upload has not gone on for ${Math.round(patience / 1000)} s`);
    }
  }

  /** A short pause, so that small steps are told together. */
  rest(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#options.signal });
  }
}

async function* sayAvailable(growth: Growth, pace: Pace): AsyncGenerator<ReadPart> {
  let said = -1;
  let saidAt = 0;
  for (;;) {
    if (growth.failure !== undefined) throw growth.failure;
    const isWhole = growth.state === "complete";
    const { available } = growth;
    const isWorthIt = available - said >= sayEvery.bytes || performance.now() - saidAt >= sayEvery.ms;
    if (available > said && (isWhole || isWorthIt)) {
      yield { available };
      said = available;
      saidAt = performance.now();
    } else if (isWhole) {
      return;
    } else if (available > said) {
      await pace.rest(Math.max(1, sayEvery.ms - (performance.now() - saidAt)));
    } else {
      await pace.change();
    }
  }
}

async function* readGrowing(
  handle: FileHandle,
  growth: Growth,
  pace: Pace,
  options: ReadOptions,
): AsyncGenerator<ReadPart> {
  let at = options.offset;
  for (;;) {
    if (growth.failure !== undefined) throw growth.failure;
    const isWhole = growth.state === "complete";
    const limit = options.length === 0 ? growth.available : Math.min(growth.available, options.offset + options.length);
    if (at < limit) {
      yield* readRange(handle, at, limit, options.signal);
      at = limit;
    } else if (isWhole) {
      endOf(growth.size, options);
      return;
    } else {
      await pace.change();
    }
  }
}

async function* readRange(handle: FileHandle, from: number, to: number, signal: AbortSignal): AsyncGenerator<ReadPart> {
  for (let at = from; at < to; ) {
    signal.throwIfAborted();
    const wanted = Math.min(chunkSize, to - at);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(wanted), 0, wanted, at);
    if (bytesRead === 0) throw new BerthError("DATA_LOSS", `a blob's file ends at ${at}, ${to} bytes were expected`);
    yield { data: bytesRead === wanted ? buffer : buffer.subarray(0, bytesRead) };
    at += bytesRead;
  }
}

/** @throws INVALID_ARGUMENT when the range is not within the blob */
function endOf(size: number, { offset, length }: ReadOptions): number {
  const end = length === 0 ? size : offset + length;
  if (offset < 0 || length < 0 || offset > size || end > size) {
    throw new BerthError("INVALID_ARGUMENT", `bytes ${offset} to ${end} are not all within a blob of ${size} bytes`);
  }
  return end;
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw new BerthError("NOT_FOUND", "the blob was removed just now");
    throw fileError(error, path);
  }
}
