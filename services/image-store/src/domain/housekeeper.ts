import type { Collected, Collector } from "./garbage.ts";

/** ms after a removal; several in a row are cleaned up together. */
const soonMs = 200;
/** ms; for leases that ended by themselves. */
const everyMs = 10 * 60_000;
/** ms after the start, for what a crash left; late enough for callers to come back to their leases first */
const firstMs = 60_000;

/** Collects garbage when there may be some: after removals, now and then, and when asked. */
export class Housekeeper {
  readonly #collector: Collector;
  readonly #onError: (error: unknown) => void;
  readonly #timers: NodeJS.Timeout[];
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<Collected> | undefined;

  constructor(collector: Collector, onError: (error: unknown) => void) {
    this.#collector = collector;
    this.#onError = onError;
    this.#timers = [setInterval(() => this.soon(), everyMs), setTimeout(() => this.soon(), firstMs)];
    for (const timer of this.#timers) timer.unref();
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
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }
}
