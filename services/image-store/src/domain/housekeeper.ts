import type { Collected, Collector } from "./garbage.ts";

/** ms after a removal; several in a row are cleaned up together. */
const soonMs = 200;
/** ms; for leases that ended by themselves. */
const everyMs = 10 * 60_000;

/** Collects garbage when there may be some: after removals, now and then, and when asked. */
export class Housekeeper {
  readonly #collector: Collector;
  readonly #onError: (error: unknown) => void;
  readonly #interval: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Collected> | undefined;

  constructor(collector: Collector, onError: (error: unknown) => void) {
    this.#collector = collector;
    this.#onError = onError;
    this.#interval = setInterval(() => this.soon(), everyMs);
    this.#interval.unref();
  }

  soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.now().catch(this.#onError);
    }, soonMs);
  }

  now(): Promise<Collected> {
    const running = this.#collector.collect();
    this.#running = running;
    return running;
  }

  async close(): Promise<void> {
    clearInterval(this.#interval);
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }
}
