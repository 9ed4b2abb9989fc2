import type { PullMessage } from "./sink.ts";

type Task = (tell: (message: PullMessage) => void, signal: AbortSignal) => Promise<void>;

/** One task that several callers wait for. It goes on as long as any of them does. */
class Flight {
  readonly #abort = new AbortController();
  readonly #passengers = new Set<Passenger>();
  /** What a newcomer has to hear: the newest message of each kind, in the order in which the kinds first came. */
  readonly #told = new Map<string, PullMessage>();
  readonly done: Promise<void>;

  constructor(task: Task) {
    this.done = task((message) => this.#tell(message), this.#abort.signal).then(
      () => this.#end(undefined),
      (error: unknown) => this.#end({ error }),
    );
  }

  board(): Passenger {
    const passenger = new Passenger();
    for (const message of this.#told.values()) passenger.hear(message);
    this.#passengers.add(passenger);
    return passenger;
  }

  /** @returns true when nobody is left; the task is told to stop then */
  leave(passenger: Passenger): boolean {
    this.#passengers.delete(passenger);
    if (this.#passengers.size > 0) return false;
    this.#abort.abort();
    return true;
  }

  #tell(message: PullMessage): void {
    this.#told.set(keyOf(message), message);
    for (const passenger of this.#passengers) passenger.hear(message);
  }

  #end(failure: { error: unknown } | undefined): void {
    for (const passenger of this.#passengers) passenger.end(failure);
  }
}

/**
 * One caller's messages. A slow one does not hold up the task: of what it has not taken yet, only the newest of each
 * layer is kept, so what waits is bounded by the number of layers.
 */
class Passenger {
  readonly #waiting = new Map<string, PullMessage>();
  #ended: { failure: { error: unknown } | undefined } | undefined;
  #wake: () => void = () => {};

  hear(message: PullMessage): void {
    this.#waiting.set(keyOf(message), message);
    this.#wake();
  }

  end(failure: { error: unknown } | undefined): void {
    this.#ended = { failure };
    this.#wake();
  }

  async *messages(signal: AbortSignal): AsyncGenerator<PullMessage> {
    const wake = (): void => this.#wake();
    signal.addEventListener("abort", wake, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        for (const [key, message] of this.#waiting) {
          this.#waiting.delete(key);
          yield message;
        }
        if (this.#waiting.size > 0) continue;
        if (this.#ended?.failure !== undefined) throw this.#ended.failure.error;
        if (this.#ended !== undefined) return;
        if (!signal.aborted) await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }
}

/** Joins callers who want the same thing at the same time. */
export class Flights {
  readonly #flights = new Map<string, Flight>();

  async *join(key: string, signal: AbortSignal, task: Task): AsyncGenerator<PullMessage> {
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      flight = new Flight(task);
      this.#flights.set(key, flight);
      const mine = flight;
      void flight.done.finally(() => this.#forget(key, mine));
    }
    const passenger = flight.board();
    try {
      yield* passenger.messages(signal);
    } finally {
      if (flight.leave(passenger)) this.#forget(key, flight);
    }
  }

  #forget(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }
}

function keyOf(message: PullMessage): string {
  return message.kind === "layer" ? message.digest : message.kind;
}
