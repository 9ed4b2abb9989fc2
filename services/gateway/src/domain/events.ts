import type { Bus, EventRecord, SequencedEvent } from "@berth/bus";
import type { Logger } from "@berth/log";

export interface FeedOptions {
  bus: Pick<Bus, "events">;
  log: Logger;
  signal: AbortSignal;
}

/** Events that wait for one slow client; beyond it the client is cut off rather than memory filled. */
const maxQueued = 10_000;

type Listener = (event: EventRecord) => void;

/** The one live subscription of this gateway, shared by its own caches and by every client that follows events. */
export class EventFeed {
  readonly #listeners = new Set<Listener>();
  readonly #bus: FeedOptions["bus"];

  constructor({ bus, log, signal }: FeedOptions) {
    this.#bus = bus;
    void this.#follow(signal).catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, "the event feed ended");
    });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const event of this.#bus.events({ signal })) for (const listener of this.#listeners) listener(event);
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** History first where `since` asks for it, then what happens, until `until` or the signal. */
  read(
    query: { since: bigint | undefined; until: bigint | undefined },
    signal: AbortSignal,
  ): AsyncIterable<EventRecord> {
    const { since, until } = query;
    if (since === undefined && until === undefined) return this.#live(signal);
    return this.#bus.events({ since, until, signal }) satisfies AsyncIterable<SequencedEvent>;
  }

  async *#live(signal: AbortSignal): AsyncGenerator<EventRecord> {
    let waiting: EventRecord[] = [];
    let wake: (() => void) | undefined;
    const stop = this.listen((event) => {
      waiting.push(event);
      wake?.();
    });
    const abort = () => wake?.();
    signal.addEventListener("abort", abort, { once: true });
    try {
      while (!signal.aborted) {
        if (waiting.length > maxQueued) throw new Error("events come faster than this client reads them");
        const batch = waiting;
        waiting = [];
        yield* batch;
        if (waiting.length > 0 || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    } finally {
      stop();
      signal.removeEventListener("abort", abort);
    }
  }
}
