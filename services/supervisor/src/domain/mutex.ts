/** A mutex a name, for as long as anybody waits for it. */
export class NamedMutexes {
  readonly #byName = new Map<string, Mutex>();

  async run<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    const mutex = this.#byName.get(name) ?? new Mutex();
    this.#byName.set(name, mutex);
    try {
      return await mutex.run(work);
    } finally {
      if (!mutex.busy) this.#byName.delete(name);
    }
  }
}

/** Runs what is given to it one after the other, in the order of the calls. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  get busy(): boolean {
    return this.#waiting > 0;
  }

  run<T>(work: () => Promise<T> | T): Promise<T> {
    this.#waiting++;
    const result = this.#tail.then(work).finally(() => {
      this.#waiting--;
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
