import { randomUUID } from "node:crypto";
import { errorMessage } from "@berth/errors";
import { type Consumer, DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import { type Connection, sleep } from "./connection.ts";
import { eventsStream, type JetStream, withinDeadline } from "./jetstream.ts";

/** One thing that happened, as Docker's /events tells it (Engine API, "Monitor events"). */
export interface EventRecord {
  /** Unique; a repeated publication of the same id is dropped by the stream. See {@link newEventId}. */
  id: string;
  type: "container" | "image" | "network" | "volume" | "daemon";
  action: string;
  actorId: string;
  attributes: Record<string, string>;
  /** Decimal nanoseconds since the epoch, of the clock of the node where it happened. */
  timeNano: string;
  nodeId: string;
  scope: "local";
}

export type SequencedEvent = EventRecord & { sequence: number };

export interface EventsQuery {
  /** From here on, by the events' own time, ns since the epoch. Without it and fromSequence: from now. */
  since?: bigint | undefined;
  /** Ends the iteration when everything up to here was given and this time has passed, ns since the epoch. */
  until?: bigint | undefined;
  /** From this sequence of the stream on, wins over `since`. */
  fromSequence?: number | undefined;
  /** The last sequence that is given; then, or when there is no event before it, the iteration ends. */
  through?: number | undefined;
  /** Events of these types alone; the server leaves out the others. */
  types?: readonly EventRecord["type"][] | undefined;
  signal?: AbortSignal | undefined;
}

export const newEventId = (): string => randomUUID();

/** This machine's clock, ns since the epoch, never the same or less twice in a process, though Date counts in ms. */
export function nowNano(): bigint {
  const now = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n);
  lastNano = now > lastNano ? now : lastNano + 1n;
  return lastNano;
}
let lastNano = 0n;

/** berth.events.<type>.<first word of the action>.<node>: "exec_create: sh" is of subject exec_create. */
export function eventSubject(event: EventRecord): string {
  const word = /^[A-Za-z0-9_-]*/.exec(event.action)?.[0] || "_";
  return `berth.events.${event.type}.${word}.${event.nodeId}`;
}

/** How far apart the clocks of a node and of the NATS server may be for `since` to find every event. */
const clockSkewNs = 300_000_000_000n;
const retryPauseMs = 250;
/** ms since the epoch: the last moment of the year 9999, beyond which NATS reads no time. */
const lastMoment = Date.UTC(10_000, 0) - 1;

/**
 * Replays, then follows, in the stream's order. Outlasts NATS: after an outage it goes on behind the last event given.
 * Ends when `until` is reached or the signal aborts (without an error: that is how a listener leaves).
 */
export async function* readEvents(
  connection: Connection,
  jetstream: JetStream,
  query: EventsQuery,
): AsyncGenerator<SequencedEvent> {
  const { signal } = query;
  let position: Start = await firstPosition(connection, jetstream, query);
  while (!signal?.aborted) {
    const source = await attempt(() => EventSource.open(jetstream, position, query), connection, signal);
    if (source === undefined) continue;
    // The client's own consumer notices a lost server by missed heartbeats, after half a minute; the connection knows.
    const stopListening = connection.onChange((up) => {
      if (!up) source.interrupt();
    });
    try {
      if (query.through !== undefined && source.isEmpty) return;
      for await (const message of source) {
        if (query.through !== undefined && message.seq > query.through) return;
        position = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: message.seq + 1 };
        const event = decode(message);
        if (event !== undefined && inRange(event, query)) yield event;
        if (query.through !== undefined && (message.seq === query.through || message.info.pending === 0)) return;
      }
      if (source.finished) return;
    } catch (error) {
      connection.log.debug({ err: errorMessage(error) }, "reading events was interrupted");
    } finally {
      stopListening();
      await source.close();
    }
    if (!signal?.aborted && !connection.up) await attempt(() => connection.whenUp(signal), connection, signal);
  }
}

/** What there is of events. */
export interface EventsRange {
  /** Sequence of the oldest one kept; of the next one, where none is. */
  oldest: number;
  /** What the next one's will be, at least. */
  next: number;
}

/** ms */
const rangePatienceMs = 5_000;

/** @throws UNAVAILABLE when NATS does not answer */
export function eventsRange(connection: Connection, jetstream: JetStream): Promise<EventsRange> {
  return withinDeadline(connection, rangePatienceMs, "events are out of reach", async () => {
    const { state } = await (await jetstream.manager()).streams.info(eventsStream);
    // A stream that has never had a message begins at nought.
    return { oldest: Math.max(1, state.first_seq), next: state.last_seq + 1 };
  });
}

type Start = {
  deliver_policy: DeliverPolicy;
  opt_start_seq?: number;
  opt_start_time?: string;
};

/** "From now" is pinned to a sequence at once, so that nothing is lost if NATS goes away before the first event. */
async function firstPosition(connection: Connection, jetstream: JetStream, query: EventsQuery): Promise<Start> {
  if (query.fromSequence !== undefined) {
    return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, query.fromSequence) };
  }
  if (query.since !== undefined) {
    const start = query.since > clockSkewNs ? query.since - clockSkewNs : 0n;
    const time = new Date(Math.min(Number(start / 1_000_000n), lastMoment)).toISOString();
    return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: time };
  }
  while (!query.signal?.aborted) {
    const last = await attempt(
      async () => (await (await jetstream.manager()).streams.info(eventsStream)).state.last_seq,
      connection,
      query.signal,
    );
    if (last !== undefined) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: last + 1 };
  }
  return { deliver_policy: DeliverPolicy.New };
}

/** One consumer's run. `finished` tells an end that was asked for from one that the connection made. */
class EventSource implements AsyncIterable<JsMsg> {
  finished = false;
  /** Nothing was there to be read when it was opened. */
  readonly isEmpty: boolean;
  readonly #messages: Awaited<ReturnType<Consumer["consume"]>>;
  readonly #query: EventsQuery;
  #caughtUp: boolean;
  #iterated = false;
  #timer: NodeJS.Timeout | undefined;

  private constructor(messages: Awaited<ReturnType<Consumer["consume"]>>, caughtUp: boolean, query: EventsQuery) {
    this.#messages = messages;
    this.#caughtUp = caughtUp;
    this.isEmpty = caughtUp;
    this.#query = query;
  }

  static async open(jetstream: JetStream, start: Start, query: EventsQuery): Promise<EventSource> {
    await jetstream.manager();
    const { types = [] } = query;
    const filter = types.length === 0 ? {} : { filter_subjects: types.map((type) => `berth.events.${type}.>`) };
    const consumer = await jetstream.client.consumers.get(eventsStream, { ...start, ...filter });
    const { num_pending: pending } = await consumer.info();
    const messages = await consumer.consume({ max_messages: 256 });
    return new EventSource(messages, pending === 0, query);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JsMsg> {
    this.#iterated = true;
    const { signal, until } = this.#query;
    const finish = () => {
      this.finished = true;
      this.#messages.stop();
    };
    signal?.addEventListener("abort", finish, { once: true });
    if (signal?.aborted) finish();
    if (until !== undefined) this.#endAt(until, finish);
    try {
      for await (const message of this.#messages) {
        yield message;
        this.#caughtUp = message.info.pending === 0;
        if (this.#caughtUp && until !== undefined && isPast(until)) finish();
      }
    } finally {
      signal?.removeEventListener("abort", finish);
      clearTimeout(this.#timer);
    }
  }

  /** Ends the iteration as if the server had. */
  interrupt(): void {
    this.#messages.stop();
  }

  async close(): Promise<void> {
    const closed = this.#messages.close();
    // The end is told to whoever iterates: with nobody there it never comes.
    if (this.#iterated) await closed;
  }

  /** Looks at `until` and then every minute at most: timers can't wait longer than 24 days, and clocks are set. */
  #endAt(until: bigint, finish: () => void): void {
    const remaining = Number(until / 1_000_000n) - Date.now() + settleMs;
    if (remaining > 0) {
      this.#timer = setTimeout(() => this.#endAt(until, finish), Math.min(remaining, 60_000));
    } else if (this.#caughtUp) {
      finish();
    }
  }
}

/** ms after which what happened is in the stream: outboxes hold events back for a moment, to publish them together. */
export const settleMs = 150;

const isPast = (time: bigint): boolean => BigInt(Date.now() - settleMs) * 1_000_000n > time;

function inRange(event: EventRecord, { since, until }: EventsQuery): boolean {
  const time = BigInt(event.timeNano);
  return (since === undefined || time >= since) && (until === undefined || time <= until);
}

function decode(message: JsMsg): SequencedEvent | undefined {
  try {
    const event = message.json<EventRecord>();
    return /^\d+$/.test(event.timeNano) ? { ...event, sequence: message.seq } : undefined;
  } catch {
    return undefined;
  }
}

/** Tries once; on failure waits a little, and for the connection, and gives undefined. */
async function attempt<T>(
  work: () => Promise<T>,
  connection: Connection,
  signal?: AbortSignal,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    connection.log.debug({ err: errorMessage(error) }, "the events stream is not reachable");
  }
  try {
    await sleep(retryPauseMs, signal);
    await connection.whenUp(signal);
  } catch {
    // Aborted: the caller's loop sees it.
  }
  return undefined;
}
