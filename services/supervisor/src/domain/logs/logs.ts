import { watch } from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "@berth/errors";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { conflict } from "../errors.ts";
import type { LogConfig } from "../model.ts";
import { fromNano, nowNano } from "../time.ts";
import { closeAll, type LogFile, openAll, openSuccessor } from "./files.ts";
import { LogFormatter } from "./format.ts";
import { driverOf } from "./options/validate.ts";
import { parseBool } from "./options/values.ts";
import { compactRecords, findTail, jsonRecords, maxRecord, type RecordFormat } from "./records.ts";
import { type Source, sizeOf, sourceOf } from "./source.ts";

export interface LogOptions {
  stdout: boolean;
  stderr: boolean;
  /** ns since the epoch */
  since: bigint | undefined;
  until: bigint | undefined;
  /** Lines from the end; undefined or negative: all. */
  tail: number | undefined;
  timestamps: boolean;
  follow: boolean;
  details: boolean;
  /** Where to stop: a place that the monitor gave (attach with `replay`). */
  end?: { file: string; offset: number } | undefined;
}

const readSize = 256 * 1024;

/** A container's log, formatted for the Engine API, in chunks. Following ends when the container does. Throws NOT_IMPLEMENTED for driver "none". */
export async function* readLogs(
  parts: Parts,
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { spec } = container.record;
  if (container.removed || container.record.removing)
    throw conflict("can not get logs from container which is dead or marked for removal");
  const { logConfig } = spec.hostConfig;
  if (!canRead(logConfig)) {
    throw new BerthError("NOT_IMPLEMENTED", "configured logging driver does not support reading");
  }
  const text = (nano: bigint | undefined) => (nano === undefined || nano === 0n ? undefined : fromNano(nano));
  const formatter = new LogFormatter({
    ...options,
    framed: !spec.config.tty,
    since: text(options.since),
    until: text(options.until),
  });
  const compact = driverOf(logConfig) !== "json-file";
  const path = compact ? parts.paths.compactLog(container.id) : parts.paths.log(container.id);
  yield* new LogReader({ path, compact, container, formatter, options, signal }).run();
}

/** Docker reads the log of any driver from its cache, unless that is turned off. */
function canRead(config: LogConfig): boolean {
  const driver = driverOf(config);
  if (driver === "none") return false;
  if (driver === "json-file" || driver === "local") return true;
  return !parseBool(config.config["cache-disabled"] || "false");
}

interface ReaderParts {
  path: string;
  compact: boolean;
  container: Container;
  formatter: LogFormatter;
  options: LogOptions;
  signal: AbortSignal;
}

class LogReader {
  readonly #path: string;
  readonly #container: Container;
  readonly #formatter: LogFormatter;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  readonly #format: RecordFormat;
  readonly #buffer = Buffer.allocUnsafe(readSize + maxRecord);
  /** Bytes of a line whose end has not been read yet. */
  #carried = 0;
  #wake: (() => void) | undefined;
  #changed = false;

  constructor({ path, compact, container, formatter, options, signal }: ReaderParts) {
    this.#format = compact ? compactRecords : jsonRecords;
    this.#path = path;
    this.#container = container;
    this.#formatter = formatter;
    this.#options = options;
    this.#signal = signal;
  }

  async *run(): AsyncGenerator<Buffer> {
    // Before the first byte is read, so that nothing that comes later is missed.
    const stopWatching = this.#options.follow ? this.#watch() : () => {};
    const files = openAll(this.#path);
    try {
      const { index, offset } = await this.#begin(files);
      // Following adds to `files` what it opens.
      const count = files.length;
      for (let i = index; i < count; i++) {
        const file = files[i] as LogFile;
        const last = i === count - 1;
        const source = sourceOf(file, i === index ? offset : this.#format.header);
        try {
          yield* this.#readOn(source, this.#leftOf(file, i === index ? offset : this.#format.header));
          if (last && this.#options.follow) yield* this.#follow(file, source, files);
        } finally {
          source.close();
        }
        if (this.#done() || file.id === this.#options.end?.file) break;
      }
      if (count === 0 && this.#options.follow) yield* this.#followNew(files);
      if (this.#formatter.pending > 0) yield this.#formatter.take();
    } finally {
      stopWatching();
      closeAll(files);
    }
  }

  #done(): boolean {
    return this.#signal.aborted || this.#formatter.past;
  }

  async #begin(files: readonly LogFile[]): Promise<{ index: number; offset: number }> {
    const { tail } = this.#options;
    const { header } = this.#format;
    if (tail === undefined || tail < 0) return { index: 0, offset: header };
    if (tail > 0) return findTail(files, this.#format, tail);
    const last = files.at(-1);
    return { index: Math.max(0, files.length - 1), offset: last ? Math.max(header, sizeOf(last)) : header };
  }

  /** bytes to read of a file: all of it, or up to where the reader was told to stop. */
  #leftOf({ id }: LogFile, from: number): number {
    const { end } = this.#options;
    return end?.file === id ? Math.max(0, end.offset - from) : Number.POSITIVE_INFINITY;
  }

  /** Reads on to the end of what there is, or for `most` bytes. */
  async *#readOn(source: Source, most = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
    let left = most;
    while (!this.#done() && left > 0) {
      const bytesRead = await source.read(this.#buffer, this.#carried, Math.min(readSize, left));
      if (bytesRead === 0) break;
      left -= bytesRead;
      yield* this.#consume(bytesRead);
    }
  }

  *#consume(bytes: number): Generator<Buffer> {
    const length = this.#carried + bytes;
    const buffer = this.#buffer;
    let start = 0;
    const compact = this.#format === compactRecords;
    for (;;) {
      const end = this.#format.end(buffer, start, length);
      if (end === -2) start = length;
      if (end < 0) break;
      if (compact) this.#formatter.addCompact(buffer, start, end);
      else this.#formatter.add(buffer, start, end - 1);
      start = end;
      if (this.#formatter.full) yield this.#formatter.take();
      if (this.#formatter.past) return;
    }
    this.#carried = length - start;
    if (this.#carried > maxRecord) this.#carried = 0;
    else buffer.copyWithin(0, start, length);
  }

  /** From the end of the current file on, over rotations, until the container has ended and all is read. */
  async *#follow(first: LogFile, begun: Source, files: LogFile[]): AsyncGenerator<Buffer> {
    let file = first;
    let source = begun;
    for (;;) {
      // Asked first: what was written before the end is in the file by now.
      const running = isRunning(this.#container.record);
      this.#changed = false;
      yield* this.#readOn(source);
      if (this.#formatter.pending > 0) yield this.#formatter.take();
      if (this.#done()) return;
      const next = openSuccessor(this.#path, file.id);
      if (next) {
        // Once more: lines may have come between our last read and the rotation.
        yield* this.#readOn(source);
        source.close();
        files.push(next);
        file = next;
        source = sourceOf(next, this.#format.header);
        continue;
      }
      if (!running) return;
      await this.#nextChange();
    }
  }

  /** A container that has not written a byte yet. */
  async *#followNew(files: LogFile[]): AsyncGenerator<Buffer> {
    for (;;) {
      const running = isRunning(this.#container.record);
      this.#changed = false;
      files.push(...openAll(this.#path));
      const [file] = files;
      if (file) {
        yield* this.#follow(file, sourceOf(file, this.#format.header), files);
        return;
      }
      if (!running || this.#done()) return;
      await this.#nextChange();
    }
  }

  async #nextChange(): Promise<void> {
    if (this.#changed || this.#signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** inotify on the directory: writes, rotations. The container's end, the caller's and `until` wake as well. */
  #watch(): () => void {
    const wake = () => {
      this.#changed = true;
      this.#wake?.();
    };
    const watcher = watch(dirname(this.#path), { persistent: false }, wake);
    watcher.on("error", wake);
    const stopContainer = this.#container.onChange(wake);
    this.#signal.addEventListener("abort", wake, { once: true });
    const timer = this.#untilTimer(wake);
    return () => {
      watcher.close();
      stopContainer();
      this.#signal.removeEventListener("abort", wake);
      clearTimeout(timer);
    };
  }

  /** Nothing may come after `until` that would end the reading by itself. */
  #untilTimer(wake: () => void): NodeJS.Timeout | undefined {
    const { until } = this.#options;
    if (until === undefined || until === 0n) return undefined;
    const ms = Number((until - nowNano()) / 1_000_000n);
    // Timers can't wait longer than 24 days; nobody's log request does.
    const end = () => {
      this.#formatter.past = true;
      wake();
    };
    return setTimeout(end, Math.min(Math.max(ms, 0), 2 ** 31 - 1));
  }
}
