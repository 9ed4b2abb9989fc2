import type { Event } from "@berth/api/events";
import { given, type Link } from "./link.ts";
import { type Moment, nanosOf, timestampOf } from "./moment.ts";

export type EventType = "container" | "image" | "network" | "volume" | "daemon";

/** One thing that happened on one of the nodes (Engine API, "Monitor events"). */
export interface BerthEvent {
  /** Grows from event to event; what comes next has at least one more. */
  sequence: number;
  /** Unique. */
  id: string;
  type: EventType;
  /** "start", "die", "exec_create: sh", … */
  action: string;
  actorId: string;
  attributes: Record<string, string>;
  /** ns since the epoch, of the clock of the node where it happened */
  time: bigint;
  nodeId: string;
}

export interface EventsQuery {
  /** The first sequence to be given; wins over `since`. With neither, what happens from now on. */
  from?: number | undefined;
  /** None before this moment. */
  since?: Moment | undefined;
  /** None after this moment; the iteration ends when it has come. */
  until?: Moment | undefined;
  /** These alone; all unless given. */
  types?: readonly EventType[] | undefined;
  /** As in the Engine API's GET /events: { container: ["web"], event: ["die"] } */
  filters?: Readonly<Record<string, readonly string[]>> | undefined;
  signal?: AbortSignal | undefined;
}

/** The engine's events, in the order in which it recorded them. */
export class Events {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /**
   * What there was, where a beginning is given, and then what happens. A lost connection is made good: no event is left out or given twice. Who
   * goes on later, in another process, does so with `from: event.sequence + 1`.
   * @throws DATA_LOSS when events from there on are not kept any more; CANCELLED when the signal aborts
   */
  follow(query: EventsQuery = {}): AsyncGenerator<BerthEvent> {
    return this.#read(query, true);
  }

  /** The same, to the last event that there is now. */
  history(query: EventsQuery): AsyncGenerator<BerthEvent> {
    return this.#read(query, false);
  }

  async *#read(query: EventsQuery, follow: boolean): AsyncGenerator<BerthEvent> {
    const { from = 0, since, until, types = [], filters = {}, signal } = query;
    const request = {
      since: timestampOf(since),
      until: timestampOf(until),
      types: [...types],
      filters: Object.fromEntries(Object.entries(filters).map(([key, values]) => [key, { values: [...values] }])),
      follow,
    };
    const patience = this.#link.patience();
    let fromSequence = from;
    for (;;) {
      try {
        for await (const answer of this.#link.services.events.read({ ...request, fromSequence }, given({ signal }))) {
          patience.renew();
          // Nought comes first, of a reading that begins by time: then it begins there again.
          if (answer.nextSequence > 0) fromSequence = answer.nextSequence;
          if (answer.event !== undefined) yield decode(answer.event);
        }
        return;
      } catch (error) {
        await patience.after(error, signal);
      }
    }
  }
}

const decode = ({ time, scope: _scope, type, ...event }: Event): BerthEvent => ({
  ...event,
  type: type as EventType,
  time: nanosOf(time),
});
