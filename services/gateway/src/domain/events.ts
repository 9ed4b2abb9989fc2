import type { Bus, EventRecord, EventsQuery, SequencedEvent } from "@berth/bus";
import type { Logger } from "@berth/log";

export interface FeedOptions {
  bus: Pick<Bus, "events">;
  log: Logger;
  signal: AbortSignal;
  /** For tests. */
  maxQueued?: number;
}

/** Events that wait for one slow client; one that is further behind is given them from the stream's store instead. */
const maxQueued = 10_000;

type Listener = (event: SequencedEvent) => void;

/** The one live subscription of this gateway, shared by its own caches and by every client that follows events. */
export class EventFeed {
  readonly #listeners = new Set<Listener>();
  readonly #bus: FeedOptions["bus"];
  readonly #maxQueued: number;
  /** Clients that follow now. */
  followers = 0;

  constructor({ bus, log, signal, maxQueued: limit = maxQueued }: FeedOptions) {
    this.#bus = bus;
    this.#maxQueued = limit;
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

  /**
   * History first where a moment is given, then what happens, until `until` or the signal.
   * @param query ns since the epoch; `until` alone asks for everything there is up to it
   */
  async *read(
    query: { since: bigint | undefined; until: bigint | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<EventRecord> {
    const { since, until } = query;
    this.followers += 1;
    try {
      if (since === undefined && until === undefined) yield* this.#live(signal);
      else yield* this.#bus.events({ since: since ?? 0n, until, signal });
    } finally {
      this.followers -= 1;
    }
  }

  /** What the stream keeps and then what happens, by sequences. */
  async *replay(query: EventsQuery): AsyncGenerator<SequencedEvent> {
    this.followers += 1;
    try {
      yield* this.#bus.events(query);
    } finally {
      this.followers -= 1;
    }
  }

  async *#live(signal: AbortSignal): AsyncGenerator<EventRecord> {
    let waiting: SequencedEvent[] = [];
    let wake: (() => void) | undefined;
    /** The last event that was put aside for this client, once no more are. */
    let behind: number | undefined;
    const stop = this.listen((event) => {
      if (behind !== undefined) return;
      waiting.push(event);
      if (waiting.length >= this.#maxQueued) behind = event.sequence;
      wake?.();
    });
    const abort = () => wake?.();
    signal.addEventListener("abort", abort, { once: true });
    try {
      while (!signal.aborted) {
        const batch = waiting;
        waiting = [];
        yield* batch;
        if (behind !== undefined && waiting.length === 0) break;
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
    // Read at the client's own pace from here on; nothing is lost, and nothing piles up.
    if (behind !== undefined && !signal.aborted) yield* this.#bus.events({ fromSequence: behind + 1, signal });
  }
}
