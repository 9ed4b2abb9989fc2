import { watch } from "node:fs";
import { dirname } from "node:path";
import { BerthError } from "@berth/errors";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { fromNano, nowNano } from "../time.ts";
import { closeAll, findTail, type LogFile, openAll, openSuccessor, readAt, sizeOf } from "./files.ts";
import { LogFormatter } from "./format.ts";

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
}

const readSize = 256 * 1024;
/** Longer than any line the monitor writes (16 KiB of output, each byte escaped): without a newline by then it is no log. */
const maxLine = 1 << 20;

/** A container's log, formatted for the Engine API, in chunks. Following ends when the container does. Throws NOT_IMPLEMENTED for driver "none". */
export async function* readLogs(
  parts: Parts,
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { spec } = container.record;
  if (spec.hostConfig.logConfig.type === "none") {
    throw new BerthError("NOT_IMPLEMENTED", "configured logging driver does not support reading");
  }
  const text = (nano: bigint | undefined) => (nano === undefined || nano === 0n ? undefined : fromNano(nano));
  const formatter = new LogFormatter({
    ...options,
    framed: !spec.config.tty,
    since: text(options.since),
    until: text(options.until),
  });
  yield* new LogReader(parts.paths.log(container.id), container, formatter, options, signal).run();
}

class LogReader {
  readonly #path: string;
  readonly #container: Container;
  readonly #formatter: LogFormatter;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  readonly #buffer = Buffer.allocUnsafe(readSize + maxLine);
  /** Bytes of a line whose end has not been read yet. */
  #carried = 0;
  #wake: (() => void) | undefined;
  #changed = false;

  constructor(path: string, container: Container, formatter: LogFormatter, options: LogOptions, signal: AbortSignal) {
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
        const end = yield* this.#readFrom(file, i === index ? offset : 0);
        if (last && this.#options.follow) yield* this.#follow(file, end, files);
        if (this.#done()) break;
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
    if (tail === undefined || tail < 0) return { index: 0, offset: 0 };
    if (tail > 0) return findTail(files, tail);
    const last = files.at(-1);
    return { index: Math.max(0, files.length - 1), offset: last ? sizeOf(last) : 0 };
  }

  /** Reads one file to its end; returns the offset it came to. */
  async *#readFrom(file: LogFile, from: number): AsyncGenerator<Buffer, number> {
    let position = from;
    while (!this.#done()) {
      const bytesRead = await readAt(file, this.#buffer, this.#carried, readSize, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      yield* this.#consume(bytesRead);
    }
    return position;
  }

  *#consume(bytes: number): Generator<Buffer> {
    const length = this.#carried + bytes;
    const buffer = this.#buffer;
    let start = 0;
    for (;;) {
      const end = buffer.indexOf(10, start);
      if (end < 0 || end >= length) break;
      this.#formatter.add(buffer, start, end);
      start = end + 1;
      if (this.#formatter.full) yield this.#formatter.take();
      if (this.#formatter.past) return;
    }
    this.#carried = length - start;
    if (this.#carried > maxLine) this.#carried = 0;
    else buffer.copyWithin(0, start, length);
  }

  /** From the end of the current file on, over rotations, until the container has ended and all is read. */
  async *#follow(first: LogFile, from: number, files: LogFile[]): AsyncGenerator<Buffer> {
    let file = first;
    let position = from;
    for (;;) {
      // Asked first: what was written before the end is in the file by now.
      const running = isRunning(this.#container.record);
      this.#changed = false;
      position = yield* this.#readFrom(file, position);
      if (this.#formatter.pending > 0) yield this.#formatter.take();
      if (this.#done()) return;
      const next = openSuccessor(this.#path, file.inode);
      if (next) {
        // Once more: lines may have come between our last read and the rotation.
        yield* this.#readFrom(file, position);
        files.push(next);
        file = next;
        position = 0;
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
        yield* this.#follow(file, 0, files);
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
