import { BerthError } from "@berth/errors";
import type { Sweeper } from "./sweeper.ts";

/** Says which layers images need: the image store. */
export interface NamedLayers {
  /** Chain ids of the layers of all images there are. @throws when that can't be known for certain now */
  chainIds(signal: AbortSignal): Promise<ReadonlySet<string>>;
}

export interface CollectorParts {
  readonly named: NamedLayers;
  readonly sweeper: Sweeper;
  readonly onError: (error: unknown) => void;
}

/** ms; for what no event told of. */
const everyMs = 10 * 60_000;
/** ms after the images could not be asked for. */
const retryMs = 5_000;

/** Sweeps when a layer may have become unneeded: one round at a time, another one after it if something happened meanwhile. */
export class Collector {
  readonly #parts: CollectorParts;
  readonly #ending = new AbortController();
  #named: ReadonlySet<string> = new Set();
  #wanted = false;
  #failing = false;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  soon(): void {
    if (this.#ending.signal.aborted) return;
    this.#wanted = true;
    this.#running ??= this.#run();
  }

  /**
   * Somebody has left the layer `chainId`. As long as images named it when last asked there is nothing to do: when one of them goes,
   * we hear of that.
   */
  left(chainId: string): void {
    if (chainId !== "" && !this.#named.has(chainId)) this.soon();
  }

  /** Resolves when no round is under way. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async close(): Promise<void> {
    this.#ending.abort(new BerthError("UNAVAILABLE", "the snapshotter is ending"));
    clearTimeout(this.#timer);
    await this.settle();
  }

  async #run(): Promise<void> {
    while (this.#wanted && !this.#ending.signal.aborted) {
      this.#wanted = false;
      this.#again(await this.#round());
    }
    this.#running = undefined;
  }

  /** Gives ms until the next one without anybody's asking. */
  async #round(): Promise<number> {
    const { named, sweeper, onError } = this.#parts;
    const { signal } = this.#ending;
    try {
      const askedAt = performance.now();
      this.#named = await named.chainIds(signal);
      const left = await sweeper.sweep(this.#named, askedAt, signal);
      this.#failing = false;
      return Math.min(left ?? everyMs, everyMs);
    } catch (error) {
      // Told once: an image store that is away stays so for several rounds.
      if (!signal.aborted && !this.#failing) onError(error);
      this.#failing = true;
      return retryMs;
    }
  }

  #again(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#ending.signal.aborted) return;
    this.#timer = setTimeout(() => this.soon(), ms + 1);
    this.#timer.unref();
  }
}
