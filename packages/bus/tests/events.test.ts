import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bus, nowNano, type SequencedEvent } from "../src/index.ts";
import { Bench, event, until } from "./support.ts";

const bench = new Bench();
beforeAll(() => bench.start());
afterAll(() => bench.close());

async function past(bus: Bus, since: bigint): Promise<SequencedEvent[]> {
  return Array.fromAsync(bus.events({ since, until: nowNano() }));
}

it("events come out as they went in, in order, with rising sequences", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("order")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  const written = Array.from({ length: 300 }, (_, i) => event(`c${i}`));
  for (const one of written) void store.write([outbox.op(one)]);
  await until("all are committed", async () => (await store.table("outbox").has("x")) === false);
  await store.write([]);
  await outbox.flushed();
  const read = await past(bus, since);
  expect(read.map(({ sequence, ...rest }) => rest)).toEqual(written);
  expect(read.every(({ sequence }, i) => i === 0 || sequence > (read[i - 1]?.sequence ?? 0))).toBe(true);
  expect(await outbox.pending()).toBe(0);
});

it("an event is published if and only if its batch was written", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("atomic")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  outbox.op(event("never written"));
  await store.write([store.table("records").putOp("c", 1), outbox.op(event("written"))]);
  await outbox.flushed();
  expect((await past(bus, since)).map(({ actorId }) => actorId)).toEqual(["written"]);
});

it("what a process could not publish the next one does, once", async () => {
  const store = await bench.store("restart");
  const first = await bench.bus();
  const since = nowNano();
  const outbox = first.outbox(store);
  const op = outbox.op(event("left over"));
  await outbox.close();
  await store.write([op]);
  const second = await bench.bus();
  const next = second.outbox(store);
  await next.flushed();
  // Again, as after a crash between the acknowledgement and the deletion of the entry.
  await next.close();
  await store.write([op]);
  const third = await bench.bus();
  await third.outbox(store).flushed();
  expect((await past(third, since)).map(({ actorId }) => actorId)).toEqual(["left over"]);
});

it("events go on for a process that comes when stream and names are there already", async () => {
  const [first, second] = [await bench.bus(), await bench.bus()];
  await first.names.claim("taken", { containerId: "c", nodeId: "n" });
  // The server is asked for both together: more than it may keep on disk.
  const since = nowNano();
  const store = await bench.store("second");
  const outbox = second.outbox(store);
  await store.write([outbox.op(event("late"))]);
  await outbox.flushed(AbortSignal.timeout(5_000));
  expect((await past(second, since)).map(({ actorId }) => actorId)).toEqual(["late"]);
});

it("much that was left over is published before what is new, each once", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("left")];
  const since = nowNano();
  const old = bus.outbox(store);
  const left = Array.from({ length: 300 }, (_, i) => old.op(event(`old${i}`)));
  await old.close();
  await store.write(left);
  const outbox = bus.outbox(store);
  for (let i = 0; i < 50; i++) await store.writeLazy([outbox.op(event(`new${i}`))]);
  await outbox.flushed();
  const names = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}${i}`);
  const read = (await past(bus, since)).map(({ actorId }) => actorId);
  expect(read).toEqual([...names("old", 300), ...names("new", 50)]);
  expect(await outbox.pending()).toBe(0);
});

it("gives events of one type alone where that is asked for", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("types")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  const image = { ...event("of an image"), type: "image" as const };
  await store.write([outbox.op(event("of a container")), outbox.op(image), outbox.op(event("of another"))]);
  await outbox.flushed();
  const read = await Array.fromAsync(bus.events({ since, until: nowNano(), types: ["image"] }));
  expect(read.map(({ actorId }) => actorId)).toEqual(["of an image"]);
});

it("ends a replay behind the last event that was asked for, whatever comes meanwhile and of whatever type", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("through")];
  const outbox = bus.outbox(store);
  const before = await bus.eventsRange();
  const image = { ...event("image"), type: "image" as const };
  await store.write([outbox.op(event("one")), outbox.op(event("two")), outbox.op(image)]);
  await outbox.flushed();
  const { oldest, next } = await bus.eventsRange();
  expect([oldest, next]).toEqual([before.oldest, before.next + 3]);
  const ids = async (query: Parameters<Bus["events"]>[0]) =>
    (await Array.fromAsync(bus.events({ fromSequence: before.next, ...query }))).map(({ actorId }) => actorId);
  expect(await ids({ through: next - 1 })).toEqual(["one", "two", "image"]);
  expect(await ids({ through: before.next })).toEqual(["one"]);
  expect(await ids({ through: before.next - 1 })).toEqual([]);
  expect(await ids({ through: next - 1, types: ["container"] })).toEqual(["one", "two"]);
  expect(await ids({ through: next - 1, types: ["volume"] })).toEqual([]);
  expect(await ids({ through: next - 1, types: ["image", "container"] })).toEqual(["one", "two", "image"]);
  // Nothing is there from the next one on.
  expect(await ids({ fromSequence: next, through: next - 1 })).toEqual([]);
});

it("ends a replay at `until`, and a live stream when that time comes", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("until")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  await store.write([outbox.op(event("before"))]);
  await outbox.flushed();
  const until = nowNano();
  await store.write([outbox.op(event("after"))]);
  await outbox.flushed();
  const ids = async (query: Parameters<Bus["events"]>[0]) =>
    (await Array.fromAsync(bus.events(query))).map(({ actorId }) => actorId);
  expect(await ids({ since, until })).toEqual(["before"]);
  expect(await ids({ since: until, until: nowNano() })).toEqual(["after"]);
  const soon = nowNano() + 400_000_000n;
  const began = performance.now();
  expect(await ids({ since: nowNano(), until: soon })).toEqual([]);
  expect(performance.now() - began).toBeGreaterThan(350);
  expect(performance.now() - began).toBeLessThan(2_000);
});

it("follows from a sequence, and ends without an error when its listener leaves", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("sequence")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  await store.write([outbox.op(event("one")), outbox.op(event("two"))]);
  await outbox.flushed();
  const [first] = await past(bus, since);
  const leaving = new AbortController();
  const seen: string[] = [];
  for await (const { actorId } of bus.events({ fromSequence: first?.sequence, signal: leaving.signal })) {
    seen.push(actorId);
    if (seen.length === 2) void store.write([outbox.op(event("three"))]);
    if (seen.length === 3) leaving.abort();
  }
  expect(seen).toEqual(["one", "two", "three"]);
});

it("loses nothing, repeats nothing and keeps the order while NATS is killed and comes back", async () => {
  const [bus, reader, store] = [await bench.bus(), await bench.bus(), await bench.store("outage")];
  const outbox = bus.outbox(store);
  await store.write([outbox.op(event("first"))]);
  await outbox.flushed();
  const seen: string[] = [];
  const leaving = new AbortController();
  const since = nowNano();
  const reading = (async () => {
    for await (const { actorId } of reader.events({ since, signal: leaving.signal })) seen.push(actorId);
  })();
  let count = 0;
  let writing = true;
  const writer = (async () => {
    while (writing) {
      await store.write([outbox.op(event(`c${count++}`))]);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    await bench.kill();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await bench.start();
  }
  writing = false;
  await writer;
  await outbox.flushed(AbortSignal.timeout(15_000));
  await until("all are read", () => seen.length >= count, 15_000);
  leaving.abort();
  await reading;
  expect(seen).toEqual(Array.from({ length: count }, (_, i) => `c${i}`));
}, 60_000);

it("makes an event that NATS would not take a smaller one", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("large")];
  const outbox = bus.outbox(store);
  const since = nowNano();
  const big = "y".repeat(300_000);
  await store.write([
    outbox.op(event("x", { attributes: { big, name: "x", image: "i" } })),
    outbox.op(event("x", { action: `exec_create: ${big}` })),
    outbox.op(event("x", { action: "die" })),
  ]);
  const seen: { action: string; attributes: Record<string, string> }[] = [];
  for await (const one of bus.events({ since, signal: AbortSignal.timeout(10_000) })) {
    seen.push(one);
    if (one.action === "die") break;
  }
  expect(seen[0]?.attributes).toEqual({ name: "x", image: "i" });
  expect(seen[1]?.action).toBe(`exec_create: ${big}`.slice(0, 4096));
});

it("takes any moment to begin from", async () => {
  const bus = await bench.bus();
  const signal = AbortSignal.timeout(300);
  const seen = await Array.fromAsync(bus.events({ since: 10n ** 24n, signal }));
  expect(seen).toEqual([]);
});
