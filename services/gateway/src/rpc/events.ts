import { setTimeout as pause } from "node:timers/promises";
import type { DeepPartial, Event, EventsDefinition, ReadRequest } from "@berth/api/events";
import {
  type Bus,
  type EventRecord,
  type EventsQuery,
  type EventsRange,
  type SequencedEvent,
  settleMs,
} from "@berth/bus";
import { BerthError } from "@berth/errors";
import type { Implementation } from "@berth/rpc";
import { eventMatcher } from "../domain/event-filter.ts";
import type { EventFeed } from "../domain/events.ts";
import type { Timestamp } from "./types.ts";

type EventType = EventRecord["type"];
const allTypes: readonly string[] = ["container", "image", "network", "volume", "daemon"] satisfies EventType[];

/** berth.events.v1.Events: the engine's stream of events, as it is kept. */
export function eventCalls(feed: EventFeed, bus: Pick<Bus, "eventsRange">): Implementation<typeof EventsDefinition> {
  return {
    async *read(request, { signal }) {
      const query = queryOf(request);
      const passes = eventMatcher(new Map(Object.entries(request.filters).map(([key, { values }]) => [key, values])));
      const range = await bus.eventsRange();
      const fromSequence = beginning(request, range);
      yield { nextSequence: fromSequence ?? 0 };
      const whole = { ...query, fromSequence, signal };
      const events = request.follow ? feed.replay(whole) : replayNow(feed, bus, whole, range);
      for await (const event of events) {
        if (passes(event)) yield { event: encode(event), nextSequence: event.sequence + 1 };
      }
    },
  };
}

/** All that has happened up to now. What happened a moment ago may be on its way still, and is waited for. */
async function* replayNow(
  feed: EventFeed,
  bus: Pick<Bus, "eventsRange">,
  query: EventsQuery & { signal: AbortSignal },
  { next }: EventsRange,
): AsyncGenerator<SequencedEvent> {
  const settled = pause(settleMs, undefined, { signal: query.signal });
  settled.catch(() => undefined);
  yield* feed.replay({ ...query, through: next - 1 });
  await settled;
  const late = await bus.eventsRange();
  if (late.next > next) yield* feed.replay({ ...query, fromSequence: next, through: late.next - 1 });
}

/** Undefined: by time. @throws INVALID_ARGUMENT, DATA_LOSS */
function beginning({ fromSequence, since }: ReadRequest, { oldest, next }: EventsRange): number | undefined {
  if (fromSequence === 0) return since === undefined ? next : undefined;
  if (fromSequence > next)
    throw invalid(`from_sequence: there is no event ${fromSequence} yet, the next one will be ${next}`);
  if (fromSequence < oldest) {
    const message = `events ${fromSequence} to ${oldest - 1} are not kept any more`;
    throw new BerthError("DATA_LOSS", message, { oldest_sequence: String(oldest) });
  }
  return fromSequence;
}

function queryOf({ since, until, types }: ReadRequest): EventsQuery {
  const unknown = types.find((type) => !allTypes.includes(type));
  if (unknown !== undefined) throw invalid(`types: "${unknown}" is none of ${allTypes.join(", ")}`);
  const query = { since: moment("since", since), until: moment("until", until) };
  if (query.since !== undefined && query.until !== undefined && query.since > query.until)
    throw invalid("since is after until");
  return { ...query, types: [...new Set(types)] as EventType[] };
}

/** ns since the epoch. @throws INVALID_ARGUMENT */
function moment(key: string, time: Timestamp | undefined): bigint | undefined {
  if (time === undefined) return undefined;
  const { seconds, nanos } = time;
  if (seconds < 0 || nanos < 0 || nanos >= 1e9) throw invalid(`${key} is no moment since the epoch`);
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
}

function encode({ timeNano, ...event }: SequencedEvent): DeepPartial<Event> {
  const nano = BigInt(timeNano);
  return { ...event, time: { seconds: Number(nano / 1_000_000_000n), nanos: Number(nano % 1_000_000_000n) } };
}

const invalid = (message: string) => new BerthError("INVALID_ARGUMENT", message);
