import { EventsDefinition, ReadRequest } from "@berth/api/events";
import type { SequencedEvent } from "@berth/bus";
import { createLogger } from "@berth/log";
import type { CallContext } from "@berth/rpc";
import { describe, expect, it } from "vitest";
import { EventFeed } from "../src/domain/events.ts";
import { eventCalls } from "../src/rpc/events.ts";

/** A stream that keeps events 10 to 19, and notes how it was asked. `next`: what it says its next one is, by and by. */
function kept(next: number[] = [20]) {
  const asked: object[] = [];
  let told = 0;
  const bus = {
    eventsRange: () => Promise.resolve({ oldest: 10, next: next[Math.min(told++, next.length - 1)] ?? 20 }),
    async *events(query: { fromSequence?: number; signal?: AbortSignal; through?: number }) {
      if (query.fromSequence === undefined && query.through === undefined) return;
      const { signal: _signal, ...rest } = query;
      asked.push(rest);
      for (let sequence = query.fromSequence ?? 10; sequence < 20; sequence++) yield event(sequence);
    },
  };
  const ending = new AbortController();
  const log = createLogger({ service: "test", level: "silent" });
  const feed = new EventFeed({ bus, log, signal: ending.signal });
  const { read } = eventCalls(feed, bus);
  const ask = (request: Parameters<typeof ReadRequest.fromPartial>[0]) =>
    Array.fromAsync(
      read?.(ReadRequest.fromPartial(request), { signal: ending.signal } as CallContext) as AsyncIterable<{
        nextSequence: number;
        event?: { sequence: number };
      }>,
    );
  return { ask, asked };
}

const event = (sequence: number): SequencedEvent => ({
  sequence,
  id: `e${sequence}`,
  type: sequence % 2 === 0 ? "container" : "image",
  action: "create",
  actorId: `a${sequence}`,
  attributes: { name: `n${sequence}` },
  timeNano: "1700000000123456789",
  nodeId: "n",
  scope: "local",
});

describe(`${EventsDefinition.fullName} begins`, () => {
  it("at a sequence, and says where to go on", async () => {
    const { ask, asked } = kept();
    const answers = await ask({ fromSequence: 17 });
    expect(answers.map(({ nextSequence, event: one }) => [one?.sequence, nextSequence])).toEqual([
      [undefined, 17],
      [17, 18],
      [18, 19],
      [19, 20],
    ]);
    expect(answers[1]?.event).toMatchObject({ id: "e17", time: { seconds: 1_700_000_000, nanos: 123_456_789 } });
    expect(asked).toEqual([{ fromSequence: 17, since: undefined, until: undefined, types: [], through: 19 }]);
  });
  it("and ends with what was on its way when it was asked", async () => {
    const { ask, asked } = kept([20, 23]);
    await ask({ fromSequence: 17 });
    expect(asked).toMatchObject([
      { fromSequence: 17, through: 19 },
      { fromSequence: 20, through: 22 },
    ]);
  });
  it("now, or at a moment, which has no sequence yet", async () => {
    const { ask, asked } = kept();
    expect((await ask({ follow: true })).map(({ nextSequence }) => nextSequence)).toEqual([20]);
    expect((await ask({ since: { seconds: 5, nanos: 6 } }))[0]).toEqual({ nextSequence: 0 });
    expect(asked).toMatchObject([
      { fromSequence: 20 },
      { fromSequence: undefined, since: 5_000_000_006n, through: 19 },
    ]);
  });
  it("nowhere before what is kept, nor behind what there is", async () => {
    const { ask } = kept();
    await expect(ask({ fromSequence: 9 })).rejects.toMatchObject({
      reason: "DATA_LOSS",
      message: "events 9 to 9 are not kept any more",
      details: { oldest_sequence: "10" },
    });
    await expect(ask({ fromSequence: 21 })).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    expect(await ask({ fromSequence: 20 })).toHaveLength(1);
    expect(await ask({ fromSequence: 10 })).toHaveLength(11);
  });
});

it("filters as the Engine API does, and bounds what it is asked", async () => {
  const { ask } = kept();
  const filters = { container: { values: ["a12", "n14"] } };
  expect((await ask({ fromSequence: 10, filters })).map(({ nextSequence }) => nextSequence)).toEqual([10, 13, 15]);
  for (const wrong of [
    { types: ["nothing"] },
    { types: ["container.>"] },
    { since: { seconds: 1, nanos: 1e9 } },
    { since: { seconds: 1, nanos: -1 } },
    { until: { seconds: -1, nanos: 0 } },
    { since: { seconds: 2, nanos: 0 }, until: { seconds: 1, nanos: 0 } },
  ])
    await expect(ask(wrong)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
});
