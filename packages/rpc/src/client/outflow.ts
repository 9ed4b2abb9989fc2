/**
 * How much a connection may have asked without an answer, bytes: less than a unix socket takes (208 KiB as Linux is set), whatever room its
 * framing needs.
 */
const budget = 64 * 1024;
/** ms after which what has no answer yet counts no more: it was read long ago, and takes its time. */
const forgetAfterMs = 250;

/**
 * Lets a connection's unary calls go in bursts that fit its socket. Node's HTTP/2 reads nothing while one of its writes waits for room: when a
 * thousand calls at once meet as many answers, more than both sockets take, each side waits for the other to read, for ever.
 */
export class Outflow {
  readonly #waiting: { bytes: number; go(): void }[] = [];
  #owed = 0;
  #period = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Of what is taken now; to be given back with it. */
  get period(): number {
    return this.#period;
  }

  /** Undefined: at once. One call alone may be of any size. */
  take(bytes: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#owed += bytes;
      return undefined;
    }
    this.#timer ??= setTimeout(() => this.#forget(), forgetAfterMs);
    return new Promise((resolve) => this.#waiting.push({ bytes, go: resolve }));
  }

  /** The answer has come, or will not. */
  give(bytes: number, period: number): void {
    if (period === this.#period) this.#owed -= bytes;
    if (this.#waiting.length > 0) this.#next();
  }

  #fits(bytes: number): boolean {
    return this.#owed === 0 || this.#owed + bytes <= budget;
  }

  #next(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || !this.#fits(first.bytes)) break;
      this.#waiting.shift();
      this.#owed += first.bytes;
      first.go();
    }
    if (this.#waiting.length > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #forget(): void {
    this.#timer = setTimeout(() => this.#forget(), forgetAfterMs);
    this.#period += 1;
    this.#owed = 0;
    this.#next();
  }
}
