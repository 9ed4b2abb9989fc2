import { setTimeout as sleep } from "node:timers/promises";
import { BerthError, isBerthError } from "@berth/errors";
import type { BlobBody, RegistryClient } from "./registry/client.ts";
import { connectionFailure, isRegistryError } from "./registry/failure.ts";
import type { BlobWriter, ImageSink, LayerState } from "./sink.ts";

/** ms between two words about progress; Docker's own rate */
const sayEvery = 100;
/** Waits before the tries after the first, s. */
const pauses = [1, 2, 4, 8, 15];
/** A body that brings less than this in so much time is as good as cut. bytes, ms */
const crawl = { bytes: 16 * 1024, ms: 60_000 };

export interface Layer {
  digest: string;
  /** bytes */
  size: number;
}

export interface DownloadOptions {
  client: RegistryClient;
  sink: ImageSink;
  lease: string;
  layer: Layer;
  tell: (state: LayerState, current: number, retryIn?: number) => void;
  signal: AbortSignal;
  /** For tests: replaces the waits between tries. s */
  pauses?: readonly number[];
}

/**
 * Brings one blob from the registry into the store. Whatever breaks on the way, the next try goes on where the store has
 * got to.
 * @throws what the last try failed with; DATA_LOSS when the registry's bytes are not the blob
 */
export async function download(options: DownloadOptions): Promise<void> {
  const waits = options.pauses ?? pauses;
  for (let failures = 0; ; ) {
    const before = { bytes: 0 };
    try {
      await attempt(options, before);
      return;
    } catch (error) {
      options.signal.throwIfAborted();
      // A try that brought something was not in vain: only tries without any gain are counted.
      failures = before.bytes > 0 ? 1 : failures + 1;
      const wait = waits[failures - 1];
      if (wait === undefined || !isWorthRetrying(error)) throw error;
      options.tell("retrying", 0, Math.ceil(wait));
      await sleep(wait * 1000, undefined, { signal: options.signal });
    }
  }
}

/** @param gained counts the bytes that came, also when the attempt fails in the end */
async function attempt(options: DownloadOptions, gained: { bytes: number }): Promise<void> {
  const { client, sink, lease, layer, tell, signal } = options;
  const writer = await sink.writeBlob({ digest: layer.digest, size: layer.size, lease }, signal);
  try {
    if (writer.offset < layer.size) {
      const ending = new AbortController();
      const blob = await client.blob(layer.digest, writer.offset, AbortSignal.any([signal, ending.signal]));
      try {
        await transfer(blob, writer, layer, (current) => tell("downloading", current), gained);
      } finally {
        ending.abort();
        blob.body.destroy();
      }
    }
    tell("verifying", layer.size);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw verificationFailure(error, layer.digest);
  }
}

async function transfer(
  { body, offset, size }: BlobBody,
  writer: BlobWriter,
  layer: Layer,
  tell: (current: number) => void,
  gained: { bytes: number },
): Promise<void> {
  if (size !== undefined && size !== layer.size) {
    throw mismatch(layer, `the registry has ${size} bytes`);
  }
  // A registry without ranges begins again: what the store has already is passed over.
  let skip = writer.offset - offset;
  let current = writer.offset;
  let saidAt = 0;
  const gather = new Gatherer(writer);
  const watch = new CrawlWatch(() =>
    body.destroy(new BerthError("UNAVAILABLE", `the download of ${layer.digest} stands still`)),
  );
  try {
    for await (const piece of body) {
      const chunk = skip > 0 ? (piece as Buffer).subarray(skip) : (piece as Buffer);
      skip = Math.max(0, skip - (piece as Buffer).length);
      if (chunk.length === 0) continue;
      current += chunk.length;
      if (current > layer.size) throw mismatch(layer, "the registry sends more");
      gained.bytes += chunk.length;
      watch.count(chunk.length);
      const room = gather.add(chunk);
      if (room !== undefined) await watch.pausing(room);
      const now = performance.now();
      if (now - saidAt >= sayEvery) {
        saidAt = now;
        tell(current);
      }
    }
    await gather.flush();
  } catch (error) {
    throw isBerthError(error) ? error : connectionFailure(error, "GET", new URL(`registry://blob/${layer.digest}`));
  } finally {
    watch.end();
  }
  if (current < layer.size) {
    throw new BerthError(
      "UNAVAILABLE",
      `the download of ${layer.digest} ended after ${current} of ${layer.size} bytes: unexpected EOF`,
    );
  }
}

/** Makes large chunks of the small pieces in which a socket gives its bytes. */
class Gatherer {
  readonly #writer: BlobWriter;
  #pieces: Buffer[] = [];
  #size = 0;

  constructor(writer: BlobWriter) {
    this.#writer = writer;
  }

  add(piece: Buffer): Promise<void> | undefined {
    this.#pieces.push(piece);
    this.#size += piece.length;
    return this.#size >= this.#writer.chunkSize ? this.flush() : undefined;
  }

  flush(): Promise<void> | undefined {
    const [only] = this.#pieces;
    if (only === undefined) return undefined;
    const chunk = this.#pieces.length === 1 ? only : Buffer.concat(this.#pieces, this.#size);
    this.#pieces = [];
    this.#size = 0;
    return this.#writer.write(chunk);
  }
}

/** Calls when the bytes only trickle in. A store that is slow to take them is not the registry's fault. */
class CrawlWatch {
  readonly #timer: NodeJS.Timeout;
  #came = 0;
  #paused = false;

  constructor(onCrawl: () => void) {
    this.#timer = setInterval(() => {
      if (this.#came < crawl.bytes && !this.#paused) onCrawl();
      this.#came = 0;
      this.#paused = false;
    }, crawl.ms);
  }

  count(bytes: number): void {
    this.#came += bytes;
  }

  async pausing(room: Promise<void>): Promise<void> {
    this.#paused = true;
    await room;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

function mismatch({ digest, size }: Layer, what: string): BerthError {
  return new BerthError("DATA_LOSS", `layer ${digest} has ${size} bytes by its manifest, ${what}`, { digest });
}

function verificationFailure(error: unknown, digest: string): unknown {
  if (!isBerthError(error) || error.reason !== "DATA_LOSS" || error.message.startsWith("layer ")) return error;
  return new BerthError("DATA_LOSS", `filesystem layer verification failed for digest ${digest}`, error.details, {
    cause: error,
  });
}

/** Failures of the moment: lost connections, overloaded servers. Not: wrong bytes, refused access, a full disk. */
function isWorthRetrying(error: unknown): boolean {
  if (isRegistryError(error))
    return error.status >= 500 || error.status === 408 || error.status === 429 || error.status === 416;
  return isBerthError(error) && (error.reason === "UNAVAILABLE" || error.reason === "DEADLINE");
}
