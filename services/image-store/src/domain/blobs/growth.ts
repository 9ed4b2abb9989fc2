import type { BerthError } from "@berth/errors";

/**
 * A blob on its way in, as its followers see it. States: `idle` (nobody uploads just now; an earlier part may be there),
 * `open` (bytes arrive), then `complete` or `failed`. A follower may come before the upload does.
 */
export class Growth {
  /** bytes; 0 when not known */
  size = 0;
  /** Bytes that are in the file. */
  available = 0;
  state: "idle" | "open" | "complete" | "failed" = "idle";
  /** Calls that read this blob while it grows. The part's name stays as long as there are any. */
  followers = 0;
  failure: BerthError | undefined;
  #changed = Promise.withResolvers<void>();

  /** Resolves at the next change. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  opened(size: number, available: number): void {
    this.state = "open";
    this.size = size;
    this.available = available;
    this.#notify();
  }

  advanced(available: number): void {
    this.available = available;
    this.#notify();
  }

  suspended(): void {
    this.state = "idle";
    this.#notify();
  }

  completed(size: number): void {
    this.state = "complete";
    this.size = size;
    this.available = size;
    this.#notify();
  }

  failed(failure: BerthError): void {
    this.state = "failed";
    this.failure = failure;
    this.#notify();
  }

  #notify(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
