import { watch } from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "@berth/errors";
import { sendLog } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { conflict } from "../errors.ts";
import type { LogConfig } from "../model.ts";
import { fromNano, nowNano } from "../time.ts";
import { closeAll, type LogFile, openAll, openSuccessor } from "./files.ts";
import { type FormatOptions, LogFormatter } from "./format.ts";
import { driverOf } from "./options/validate.ts";
import { parseBool } from "./options/values.ts";
import { compactRecords, findTail, jsonRecords, maxRecord, type RecordFormat } from "./records.ts";
import { changedAt, type Source, sizeOf, sourceOf } from "./source.ts";

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
  end?: LogPlace | undefined;
  /** Where to go on: a place that came with an earlier piece. */
  from?: LogPlace | undefined;
}

/** A file's id ("": before the first one was there) and an offset in its plain form. */
export interface LogPlace {
  file: string;
  offset: number;
}

export interface LogPiece {
  data: Buffer;
  /** Behind the piece's last record. */
  place: LogPlace;
}

const readSize = 256 * 1024;
const nothing = Buffer.alloc(0);
/** ms by which a file's time of change may be behind that of its last record, and more. */
const coarseMs = 1_000;

/**
 * A container's log, formatted for the Engine API, in chunks. Following begins with an empty one, for its place, and ends when the
 * container does. Throws NOT_IMPLEMENTED for driver "none".
 */
export async function* readLogs(
  parts: Parts,
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogPiece> {
  yield* readerOf(parts, container, options, signal).run();
}

/**
 * A log as it is now, sent to a connection that is handed over at `inbox`. Resolves once that can be done; `done` settles when everything
 * has been written.
 * @throws as readLogs; of `done`, what the connection's client did
 */
export function sendLogs(
  parts: Parts,
  container: Container,
  options: LogOptions,
  inbox: string,
  signal: AbortSignal,
): Promise<{ done: Promise<void> }> {
  return readerOf(parts, container, { ...options, follow: false }, signal).send(inbox);
}

function readerOf(parts: Parts, container: Container, options: LogOptions, signal: AbortSignal): LogReader {
  const { spec } = container.record;
  if (container.removed || container.record.removing)
    throw conflict("can not get logs from container which is dead or marked for removal");
  const { logConfig } = spec.hostConfig;
  if (!canRead(logConfig)) {
    throw new BerthError("NOT_IMPLEMENTED", "configured logging driver does not support reading");
  }
  const text = (nano: bigint | undefined) => (nano === undefined || nano === 0n ? undefined : fromNano(nano));
  const { stdout, stderr, timestamps, details } = options;
  const times = { since: text(options.since), until: text(options.until) };
  const format = { stdout, stderr, timestamps, details, framed: !spec.config.tty, ...times };
  const compact = driverOf(logConfig) !== "json-file";
  const path = compact ? parts.paths.compactLog(container.id) : parts.paths.log(container.id);
  return new LogReader({ path, compact, container, format, options, signal });
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
  format: FormatOptions;
  options: LogOptions;
  signal: AbortSignal;
}

class LogReader {
  readonly #path: string;
  readonly #container: Container;
  readonly #wanted: FormatOptions;
  readonly #formatter: LogFormatter;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  readonly #format: RecordFormat;
  readonly #buffer = Buffer.allocUnsafe(readSize + maxRecord);
  /** Bytes of a line whose end has not been read yet. */
  #carried = 0;
  /** Where the buffer's first byte stands. */
  #place: LogPlace = { file: "", offset: 0 };
  /** Where to stop. Who does not follow gets what there was when it asked, however fast the container writes. */
  #end: LogPlace | undefined;
  #wake: (() => void) | undefined;
  #changed = false;

  constructor({ path, compact, container, format, options, signal }: ReaderParts) {
    this.#format = compact ? compactRecords : jsonRecords;
    this.#path = path;
    this.#container = container;
    this.#wanted = format;
    this.#formatter = new LogFormatter(format);
    this.#options = options;
    this.#signal = signal;
  }

  async *run(): AsyncGenerator<LogPiece> {
    // Before the first byte is read, so that nothing that comes later is missed.
    const stopWatching = this.#options.follow ? this.#watch() : () => {};
    const files = openAll(this.#path);
    try {
      const size = this.#setEnd(files);
      const { index, offset } = await this.#begin(files, size);
      // Following adds to `files` what it opens.
      const count = files.length;
      for (let i = index; i < count; i++) {
        const file = files[i] as LogFile;
        const last = i === count - 1;
        const from = i === index ? offset : this.#format.header;
        const source = this.#open(file, from);
        try {
          if (i === index && this.#options.follow) yield this.#piece();
          yield* this.#readOn(source, this.#leftOf(file, from));
          if (last && this.#options.follow) yield* this.#follow(file, source, files);
        } finally {
          source.close();
        }
        if (this.#done() || file.id === this.#end?.file) break;
      }
      if (count === 0 && this.#options.follow) yield* this.#followNew(files);
      if (this.#formatter.pending > 0) yield this.#piece();
    } finally {
      stopWatching();
      closeAll(files);
    }
  }

  async send(inbox: string): Promise<{ done: Promise<void> }> {
    const files = openAll(this.#path);
    try {
      const { index, offset } = await this.#begin(files, this.#setEnd(files));
      const last = files.findIndex(({ id }) => id === this.#end?.file);
      const stretches = files.slice(index, last === -1 ? undefined : last + 1).map((file, at) => {
        const from = at === 0 ? offset : this.#format.header;
        const length = Math.min(this.#leftOf(file, from), Number.MAX_SAFE_INTEGER);
        return { fd: file.fd, compressed: file.compressed, from, length };
      });
      const { since = "", until = "" } = this.#wanted;
      const compact = this.#format === compactRecords;
      const { opened, done } = sendLog(
        { ...this.#wanted, since, until, compact, files: stretches, inbox },
        this.#signal,
      );
      if (!(await opened)) await done;
      return { done };
    } finally {
      closeAll(files);
    }
  }

  /** Gives the newest file's size. */
  #setEnd(files: readonly LogFile[]): number {
    const newest = files.at(-1);
    const size = newest === undefined ? 0 : sizeOf(newest);
    this.#end = this.#options.end;
    if (!this.#options.follow && newest?.compressed === false) this.#end ??= { file: newest.id, offset: size };
    return size;
  }

  /** A record never goes on in another file: what is left of the one before is torn. */
  #open(file: LogFile, from: number): Source {
    this.#carried = 0;
    this.#place = { file: file.id, offset: from };
    return sourceOf(file, from);
  }

  /** What has been formatted, up to `length` bytes into the buffer. */
  #piece(length = 0): LogPiece {
    const { file, offset } = this.#place;
    const data = this.#formatter.pending > 0 ? this.#formatter.take() : nothing;
    return { data, place: { file, offset: offset + length } };
  }

  #done(): boolean {
    return this.#signal.aborted || this.#formatter.past;
  }

  /** `size`: bytes of the newest file when the reading began. */
  async #begin(files: readonly LogFile[], size: number): Promise<{ index: number; offset: number }> {
    const { tail, from } = this.#options;
    const { header } = this.#format;
    if (from !== undefined) {
      const index = files.findIndex(({ id }) => id === from.file);
      return index === -1 ? { index: 0, offset: header } : { index, offset: Math.max(header, from.offset) };
    }
    if (tail === undefined || tail < 0) return { index: this.#firstSince(files), offset: header };
    if (tail > 0) return findTail(files, this.#format, tail, size);
    return { index: Math.max(0, files.length - 1), offset: Math.max(header, size) };
  }

  /** Files that were last written to before `since` hold nothing that is wanted; the newest one is read all the same. */
  #firstSince(files: readonly LogFile[]): number {
    const { since } = this.#options;
    if (since === undefined) return 0;
    const from = Number(since / 1_000_000n) - coarseMs;
    const index = files.findIndex((file) => changedAt(file) >= from);
    return index === -1 ? Math.max(0, files.length - 1) : index;
  }

  /** bytes to read of a file: all of it, or up to where the reader was told to stop. */
  #leftOf({ id }: LogFile, from: number): number {
    const end = this.#end;
    return end?.file === id ? Math.max(0, end.offset - from) : Number.POSITIVE_INFINITY;
  }

  /** Reads on to the end of what there is, or for `most` bytes. */
  async *#readOn(source: Source, most = Number.POSITIVE_INFINITY): AsyncGenerator<LogPiece> {
    let left = most;
    while (!this.#done() && left > 0) {
      const bytesRead = await source.read(this.#buffer, this.#carried, Math.min(readSize, left));
      if (bytesRead === 0) break;
      left -= bytesRead;
      yield* this.#consume(bytesRead);
    }
  }

  *#consume(bytes: number): Generator<LogPiece> {
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
      if (this.#formatter.full) yield this.#piece(start);
      if (this.#formatter.past) return;
    }
    if (length - start > maxRecord) start = length;
    this.#carried = length - start;
    this.#place.offset += start;
    buffer.copyWithin(0, start, length);
  }

  /** From the end of the current file on, over rotations, until the container has ended and all is read. */
  async *#follow(first: LogFile, begun: Source, files: LogFile[]): AsyncGenerator<LogPiece> {
    let file = first;
    let source = begun;
    for (;;) {
      // Asked first: what was written before the end is in the file by now.
      const running = isRunning(this.#container.record);
      this.#changed = false;
      yield* this.#readOn(source);
      if (this.#formatter.pending > 0) yield this.#piece();
      if (this.#done()) return;
      const next = openSuccessor(this.#path, file.id);
      if (next) {
        // Once more: lines may have come between our last read and the rotation.
        yield* this.#readOn(source);
        source.close();
        files.push(next);
        file = next;
        source = this.#open(next, this.#format.header);
        continue;
      }
      if (!running) return;
      await this.#nextChange();
    }
  }

  /** A container that has not written a byte yet. */
  async *#followNew(files: LogFile[]): AsyncGenerator<LogPiece> {
    yield this.#piece();
    for (;;) {
      const running = isRunning(this.#container.record);
      this.#changed = false;
      files.push(...openAll(this.#path));
      const [file] = files;
      if (file) {
        yield* this.#follow(file, this.#open(file, this.#format.header), files);
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
