// Services die under a client: what it follows goes on, with nothing left out and nothing twice.
import { type Bed, eventually, openBed } from "@berth/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Berth, type BerthEvent, connectBerth } from "../../src/index.ts";

let bed: Bed;
let berth: Berth;
let image: string;

beforeAll(async () => {
  bed = await openBed();
  image = await bed.pull("busybox");
  berth = connectBerth(`unix:${bed.engine.runDir}/gateway.sock`);
}, 300_000);

afterAll(async () => {
  berth?.close();
  await bed?.close();
}, 120_000);

async function create(script: string, name?: string): Promise<string> {
  const config = { cmd: ["sh", "-c", script] };
  const request = { name, image, config, hostConfig: { networkMode: "none" }, idempotencyKey: crypto.randomUUID() };
  return (await berth.containers.create(request)).id;
}

async function restart(service: string): Promise<void> {
  const killed = bed.engine.pidOf(service);
  bed.engine.kill(service);
  await eventually(`${service} is another`, () => bed.engine.pidOf(service) !== killed || undefined);
  await bed.engine.healthy(service);
}

it("events are followed over deaths of gateway and NATS, by sequence", async () => {
  const before = (await Array.fromAsync(berth.events.history({ from: 1 }))).at(-1)?.sequence ?? 0;
  const leaving = new AbortController();
  const seen: BerthEvent[] = [];
  const following = (async () => {
    for await (const event of berth.events.follow({ from: before + 1, signal: leaving.signal })) seen.push(event);
  })();
  following.catch(() => undefined);
  // The other way: from now on, and some types alone.
  const late: BerthEvent[] = [];
  const followingLate = (async () => {
    const query = { types: ["container" as const], filters: { event: ["create"] }, signal: leaving.signal };
    for await (const event of berth.events.follow(query)) late.push(event);
  })();
  followingLate.catch(() => undefined);
  const made: string[] = [];
  for (const killed of ["gateway", "nats", "gateway", "gateway"]) {
    for (let i = 0; i < 5; i++) made.push(await create("true"));
    const gone = restart(killed);
    if (killed !== "nats") for (const id of made.splice(0, 2)) await bed.docker.run(["rm", id]);
    await gone;
  }
  const last = await create("true", "last");
  await expect
    .poll(() => seen.some(({ actorId, action }) => actorId === last && action === "create"), { timeout: 20_000 })
    .toBe(true);
  const kept = await Array.fromAsync(berth.events.history({ from: before + 1 }));
  expect(seen).toEqual(kept.slice(0, seen.length));
  expect(kept.filter(({ action }) => action === "create")).toHaveLength(21);
  await expect.poll(() => late.at(-1)?.actorId, { timeout: 20_000 }).toBe(last);
  expect(late).toEqual(kept.filter(({ action, type }) => type === "container" && action === "create"));
  leaving.abort();
  await expect(following).rejects.toMatchObject({ reason: "CANCELLED" });
  // Another process, later: from the middle on.
  const middle = seen[Math.floor(seen.length / 2)]?.sequence ?? 0;
  const other = connectBerth(`unix:${bed.engine.runDir}/gateway.sock`);
  expect(await Array.fromAsync(other.events.history({ from: middle + 1 }))).toEqual(
    kept.filter(({ sequence }) => sequence > middle),
  );
  other.close();
}, 90_000);

it("events are asked for by what there is", async () => {
  const all = await Array.fromAsync(berth.events.history({ since: 0n }));
  const last = all.at(-1)?.sequence ?? 0;
  expect(await Array.fromAsync(berth.events.history({ from: last + 1 }))).toEqual([]);
  const ahead = Array.fromAsync(berth.events.history({ from: last + 1_000 }));
  await expect(ahead).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  await expect(Array.fromAsync(berth.events.history({ from: 2 ** 60 }))).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
  });
  await expect(Array.fromAsync(berth.events.history({ from: -1 }))).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
  });
  const backwards = Array.fromAsync(berth.events.history({ since: new Date(2000), until: new Date(1000) }));
  await expect(backwards).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  const strange = Array.fromAsync(berth.events.history({ types: [">" as never] }));
  await expect(strange).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  const [first, second] = [all[1], all[2]];
  const between = await Array.fromAsync(berth.events.history({ since: first?.time, until: second?.time }));
  expect(between.map(({ sequence }) => sequence)).toEqual([first?.sequence, second?.sequence]);
  const images = await Array.fromAsync(berth.events.history({ from: 1, types: ["image"] }));
  expect(images).toEqual(all.filter(({ type }) => type === "image"));
  // A moment that comes ends what follows.
  const until = new Date(Date.now() + 300);
  expect(await Array.fromAsync(berth.events.follow({ from: last + 1, until }))).toEqual([]);
});

it("a log is whole, whoever dies", async () => {
  const count = 40_000;
  const id = await create(
    `i=1; while [ $i -le ${count} ]; do echo $i; i=$((i+1)); [ $((i % 2000)) -eq 0 ] && sleep 0.2; done; exit 0`,
  );
  await berth.containers.start(id);
  const reading = (async () => {
    let text = "";
    for await (const { data } of berth.containers.logs(id, { follow: true })) text += data.toString();
    return text;
  })();
  const { exit } = await berth.containers.beginWait(id);
  for (const service of ["gateway", "supervisor", "gateway", "supervisor"]) await restart(service);
  const lines = (await reading).trimEnd().split("\n");
  expect(lines).toEqual(Array.from({ length: count }, (_, index) => String(index + 1)));
  expect(await exit).toEqual({ exitCode: 0, error: "" });
}, 90_000);

it("an exit is told of what was removed while nobody could be asked", async () => {
  const id = await create("sleep 1; exit 9");
  await berth.containers.start(id);
  const { exit } = await berth.containers.beginWait(id);
  // No gateway for as long as the container takes to end and be removed.
  process.kill(bed.engine.pidOf("gateway"), "SIGSTOP");
  const node = connectBerth(`unix:${bed.engine.runDir}/supervisor.sock`);
  await node.containers.wait(id);
  await node.containers.remove(id);
  node.close();
  await restart("gateway");
  expect((await exit).exitCode).toBe(9);
}, 60_000);

it("reads are answered while the gateway is restarted; what changes something says that it may have been done", async () => {
  const id = await create("sleep 1000");
  for (let round = 0; round < 3; round++) {
    const restarted = restart("gateway");
    expect((await berth.containers.inspect(id)).id).toBe(id);
    expect((await berth.images.list()).length).toBeGreaterThan(0);
    await restarted;
  }
  // Whoever has no patience is told.
  const hasty = connectBerth("unix:/nowhere/gateway.sock", { patienceMs: 0 });
  await expect(hasty.nodes.list()).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  await expect(hasty.containers.start(id)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  hasty.close();
  // One of two is enough.
  const either = connectBerth(["unix:/nowhere/gateway.sock", `unix:${bed.engine.runDir}/gateway.sock`]);
  expect((await either.containers.inspect(id)).id).toBe(id);
  await either.containers.remove(id);
  either.close();
}, 60_000);
