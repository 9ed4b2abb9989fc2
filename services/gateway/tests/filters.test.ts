import type { EventRecord, EventsQuery, SequencedEvent } from "@berth/bus";
import { createLogger } from "@berth/log";
import { describe, expect, it } from "vitest";
import { containerFilters, containerQuery } from "../src/domain/container-filter.ts";
import { eventMatcher } from "../src/domain/event-filter.ts";
import { EventFeed } from "../src/domain/events.ts";
import { parseFilters } from "../src/http/query.ts";

const never = new AbortController().signal;

describe("filters of a container list", () => {
  const containers = {
    inspect: async (name: string) => {
      if (name !== "there") throw new Error(`No such container: ${name}`);
      return { created: { seconds: 5, nanos: 7 } };
    },
  };
  const known = [
    { id: "sha256:a", parent: "" },
    { id: "sha256:b", parent: "sha256:a" },
    { id: "sha256:c", parent: "sha256:b" },
    { id: "sha256:d", parent: "" },
  ];
  const images = {
    get: async (name: string) => {
      const found = known.find(({ id }) => id === `sha256:${name}`);
      if (found === undefined) throw new Error(`No such image: ${name}`);
      return found;
    },
    store: { listImages: async () => ({ images: known }) },
  };
  const ask = (filters: object) =>
    containerQuery(
      parseFilters(JSON.stringify(filters), containerFilters),
      containers as never,
      images as never,
      never,
    );

  /** Docker 28.5's answers to the same filters. */
  it.each([
    [{ nope: ["x"] }, "invalid filter 'nope'"],
    [
      { status: ["x"] },
      "invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, restarting, removing, exited, dead",
    ],
    [{ exited: ["x"] }, `invalid filter 'exited=x': strconv.Atoi: parsing "x": invalid syntax`],
    [
      { health: ["x"] },
      "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy",
    ],
    [{ "is-task": ["x"] }, "invalid filter 'is-task=[x]'"],
    [{ publish: ["x"] }, `error while looking up for publish x: strconv.ParseUint: parsing "x": invalid syntax`],
    [{ expose: ["80-70"] }, "error while looking up for expose 80-70: Invalid range specified for the Port: 80-70"],
    [{ publish: ["1:2"] }, "filter for 'publish' should not contain ':': 1:2"],
    [{ before: ["gone"] }, "No such container: gone"],
  ])("%j is refused", async (filters, message) => {
    await expect(async () => ask(filters)).rejects.toThrow(message);
  });

  it("turns names into moments and image ids", async () => {
    expect(await ask({ before: ["there"], name: ["x"] })).toEqual({
      filters: { name: { values: ["x"] } },
      createdBefore: { seconds: 5, nanos: 7 },
      isEmpty: false,
    });
    expect(await ask({ ancestor: ["a"] })).toMatchObject({
      filters: { ancestor: { values: ["sha256:a", "sha256:b", "sha256:c"] } },
      isEmpty: false,
    });
    expect(await ask({ ancestor: ["gone"] })).toMatchObject({ isEmpty: true });
  });
});

describe("filters of events", () => {
  const exec: EventRecord = {
    id: "1",
    type: "container",
    action: "exec_create: sh -c true",
    actorId: "0123456789ab",
    attributes: { image: "reg:5000/busybox:1", name: "web", a: "1", b: "" },
    timeNano: "1",
    nodeId: "n",
    scope: "local",
  };
  it.each([
    [{ event: ["exec_create"] }, true],
    [{ event: ["exec"] }, false],
    [{ event: ["exec_start"] }, false],
    [{ container: ["we"] }, true],
    [{ container: ["0123"] }, true],
    [{ container: ["eb"] }, false],
    [{ image: ["reg:5000/busybox"] }, true],
    [{ image: ["reg:5000/busybox:1"] }, true],
    [{ image: ["busybox"] }, false],
    [{ label: ["a", "b="] }, true],
    [{ label: ["a=2"] }, false],
    [{ type: ["image", "container"], scope: ["local"] }, true],
    [{ scope: ["swarm"] }, false],
    [{ node: ["n"] }, false],
    [{ unknown: ["x"] }, true],
  ])("%j", (filters, passes) => {
    expect(eventMatcher(new Map(Object.entries(filters)))(exec)).toBe(passes);
  });
});

describe("a reader of events that is slower than they come", () => {
  const total = 50_000;

  /** A stream that keeps everything, as JetStream does. */
  class Stream {
    readonly stored: SequencedEvent[] = [];
    readonly #waiters: (() => void)[] = [];
    publish(action: string): void {
      const sequence = this.stored.length + 1;
      this.stored.push({ ...sample, action, sequence });
      for (const wake of this.#waiters.splice(0)) wake();
    }
    async *events({ fromSequence, since, signal }: EventsQuery): AsyncGenerator<SequencedEvent> {
      let next = fromSequence ?? (since === undefined ? this.stored.length + 1 : 1);
      while (signal?.aborted !== true) {
        const event = this.stored[next - 1];
        if (event !== undefined) {
          next += 1;
          yield event;
          continue;
        }
        await new Promise<void>((resolve) => {
          this.#waiters.push(resolve);
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    }
  }
  const sample = {
    id: "",
    type: "container",
    actorId: "c",
    attributes: {},
    timeNano: "1",
    nodeId: "n",
    scope: "local",
  } as const;

  it("gets every one of 50,000, in order, and little waits for it", async () => {
    const ending = new AbortController();
    const stream = new Stream();
    const log = createLogger({ service: "test", level: "silent" });
    const feed = new EventFeed({ bus: stream, log, signal: ending.signal, maxQueued: 100 });
    await new Promise(setImmediate);
    const reader = feed.read({ since: undefined, until: undefined }, ending.signal)[Symbol.asyncIterator]();
    const first = reader.next();
    stream.publish("0");
    expect((await first).value).toMatchObject({ action: "0" });
    for (let i = 1; i < total; i++) {
      stream.publish(String(i));
      // The gateway's own subscription keeps up; only the client does not.
      if (i % 50 === 0) await new Promise(setImmediate);
    }
    for (let i = 1; i < total; i++) {
      const { value } = await reader.next();
      if ((value as EventRecord).action !== String(i)) expect((value as EventRecord).action).toBe(String(i));
    }
    const after = reader.next();
    stream.publish("after");
    expect((await after).value).toMatchObject({ action: "after" });
    expect(feed.followers).toBe(1);
    ending.abort();
    await reader.return?.(undefined);
    expect(feed.followers).toBe(0);
  });
});
