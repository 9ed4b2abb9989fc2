/** Runs tasks one after the other, in the order of the calls. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }
}

/**
 * Many may pass at a time, or one alone. Whoever wants to be alone waits for those inside, and newcomers wait for it, so
 * that a stream of short passes can't starve it.
 */
export class Gate {
  #inside = 0;
  #alone: Promise<void> = Promise.resolve();
  #emptied: (() => void) | undefined;

  async pass<T>(task: () => Promise<T>): Promise<T> {
    for (let seen: Promise<void> | undefined; seen !== this.#alone; ) {
      seen = this.#alone;
      await seen;
    }
    this.#inside++;
    try {
      return await task();
    } finally {
      this.#inside--;
      if (this.#inside === 0) this.#emptied?.();
    }
  }

  async alone<T>(task: () => Promise<T>): Promise<T> {
    const before = this.#alone;
    let done = (): void => {};
    this.#alone = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    try {
      if (this.#inside > 0) {
        await new Promise<void>((resolve) => {
          this.#emptied = resolve;
        });
        this.#emptied = undefined;
      }
      return await task();
    } finally {
      done();
    }
  }
}
