import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import { nowNano } from "../../time.ts";
import type { Entry, LogDriver } from "./driver.ts";
import { type Batch, CompactTail } from "./tail.ts";

export interface ShipperParts {
  path: string;
  driver: LogDriver;
  /** The driver's connection stands. */
  connected: boolean;
  /** Where to go on in the log. */
  position: number;
  /** More may still be written. */
  isRunning(): boolean;
  /** Calls back when the container starts or ends. */
  onChange(watcher: () => void): () => void;
  /** Remembers how far we came; survives this process. */
  save(position: number): Promise<void>;
  /** Tells the monitor, which may wait for it (option mode=blocking). */
  tell: ((position: number) => Promise<void>) | undefined;
  log: Logger;
}

/**
 * Sends one container's log to its server, from the copy that the monitor writes: neither a slow server nor the end of this process
 * costs a line, as long as the copy holds it. Ends when the container does not run and everything has been sent.
 */
export class Shipper {
  readonly #parts: ShipperParts;
  readonly #tail: CompactTail;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #changed = false;
  #connected: boolean;
  /** bytes that were given up or overtaken by rotation since the last marker. */
  #dropped = 0;
  /** Resolves when it has ended, to false if it broke down; never rejects. */
  readonly done: Promise<boolean>;

  constructor(parts: ShipperParts) {
    this.#parts = parts;
    this.#connected = parts.connected;
    this.#tail = new CompactTail(parts.path, parts.position);
    this.done = this.#run().then(
      () => true,
      (error: unknown) => {
        parts.log.error({ err: error, path: parts.path }, "a container's log is not sent any more");
        return false;
      },
    );
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Ends it where it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wakeUp();
    await this.done;
  }

  async #run(): Promise<void> {
    const { path, driver, onChange } = this.#parts;
    const wake = () => this.#wakeUp();
    const watcher: FSWatcher = watch(dirname(path), { persistent: false }, wake);
    watcher.on("error", wake);
    const stopChange = onChange(wake);
    try {
      await this.#ship();
    } finally {
      stopChange();
      watcher.close();
      this.#tail.close();
      driver.close();
    }
  }

  async #ship(): Promise<void> {
    const { isRunning } = this.#parts;
    while (!this.#stop.signal.aborted) {
      // Asked first: what was written before the end is in the file by now.
      const running = isRunning();
      this.#changed = false;
      const batch = await this.#tail.next();
      if (batch !== undefined) await this.#deliver(batch);
      else if (!running) return;
      else await this.#nextChange();
    }
  }

  async #deliver(batch: Batch): Promise<void> {
    const { driver, log, path, save, tell } = this.#parts;
    this.#dropped += batch.dropped;
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        if (!this.#connected) await driver.connect();
        this.#connected = true;
        const told = this.#dropped;
        await driver.send(told > 0 ? [marker(told), ...batch.entries] : batch.entries);
        this.#dropped -= told;
        break;
      } catch (error) {
        this.#connected = false;
        failures++;
        if (failures === 1)
          log.warn({ path, err: errorMessage(error) }, "a log server does not take a container's log");
        const delay = driver.retryDelay(failures);
        if (delay === undefined) {
          for (const { content } of batch.entries) this.#dropped += content.length + 1;
          break;
        }
        await this.#pause(delay);
      }
    }
    if (this.#stop.signal.aborted && !this.#connected) return;
    await save(batch.position);
    await tell?.(batch.position);
  }

  #wakeUp(): void {
    this.#changed = true;
    this.#wake?.();
  }

  async #nextChange(): Promise<void> {
    if (this.#changed || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
      signal.addEventListener("abort", done);
    });
  }
}

const marker = (bytes: number): Entry => ({
  stderr: true,
  time: nowNano(),
  content: Buffer.from(`[berth: ${bytes} bytes of log were dropped: the log server was too slow]`),
});
