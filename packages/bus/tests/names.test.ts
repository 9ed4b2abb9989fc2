import { afterAll, beforeAll, expect, it } from "vitest";
import { Bench, until } from "./support.ts";

const bench = new Bench();
beforeAll(() => bench.start());
afterAll(() => bench.close());

it("gives a name to one of many who claim it", async () => {
  const buses = await Promise.all([bench.bus(), bench.bus(), bench.bus()]);
  const claims = Array.from({ length: 30 }, (_, i) =>
    (buses[i % 3] as (typeof buses)[0]).names.claim("web", { containerId: `c${i}`, nodeId: "n" }),
  );
  const results = await Promise.allSettled(claims);
  const winner = results.findIndex(({ status }) => status === "fulfilled");
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(await buses[0].names.lookup("web")).toEqual({ containerId: `c${winner}`, nodeId: "n" });
  const lost = results.find((result) => result.status === "rejected");
  expect(lost?.reason).toMatchObject({
    reason: "NAME_IN_USE",
    details: { containerId: `c${winner}` },
    message:
      `Conflict. The container name "/web" is already in use by container "c${winner}". ` +
      "You have to remove (or rename) that container to be able to reuse that name.",
  });
});

it("claims again for the same container, releases only for the owner, and can be claimed anew", async () => {
  const { names } = await bench.bus();
  await names.claim("db", { containerId: "a", nodeId: "n" });
  await names.claim("db", { containerId: "a", nodeId: "n" });
  await names.release("db", "somebody else");
  expect(await names.lookup("db")).toMatchObject({ containerId: "a" });
  await names.release("db", "a");
  await names.release("db", "a");
  expect(await names.lookup("db")).toBeUndefined();
  await names.claim("db", { containerId: "b", nodeId: "n" });
  expect(await names.lookup("db")).toMatchObject({ containerId: "b" });
});

it("keeps names with dots anywhere apart, and refuses what is no name", async () => {
  const { names } = await bench.bus();
  for (const name of ["a.b", "a..b", "a.b.", "a_b", "a-b"])
    await names.claim(name, { containerId: name, nodeId: "dots" });
  const listed = await names.entries("dots");
  expect(listed.map(({ name, containerId }) => [name, containerId]).sort()).toEqual(
    ["a-b", "a..b", "a.b", "a.b.", "a_b"].map((name) => [name, name]),
  );
  await expect(names.claim("no/slash", { containerId: "x", nodeId: "n" })).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
  });
});

it("lists thousands of names, and none that was given back", async () => {
  const { names } = await bench.bus();
  const count = 3_000;
  for (let at = 0; at < count; at += 100) {
    const some = Array.from({ length: 100 }, (_, i) => at + i);
    await Promise.all(some.map((i) => names.claim(`many-${i}`, { containerId: `c${i}`, nodeId: "many" })));
  }
  await names.release("many-7", "c7");
  const listed = await names.entries("many");
  expect(new Set(listed.map(({ name }) => name)).size).toBe(count - 1);
  expect(listed.find(({ name }) => name === "many-7")).toBeUndefined();
  expect(listed.find(({ name }) => name === "many-8")).toEqual({ name: "many-8", containerId: "c8", nodeId: "many" });
}, 60_000);

it("says UNAVAILABLE within 2 s while NATS is away; a release in the outbox is made good later", async () => {
  const [bus, store] = [await bench.bus(), await bench.store("release")];
  const outbox = bus.outbox(store);
  await bus.names.claim("away", { containerId: "a", nodeId: "n" });
  await bench.kill();
  const began = performance.now();
  await expect(bus.names.claim("other", { containerId: "b", nodeId: "n" })).rejects.toMatchObject({
    reason: "UNAVAILABLE",
  });
  expect(performance.now() - began).toBeLessThan(2_300);
  await store.write([outbox.releaseNameOp("away", "a")]);
  await bench.start();
  await until("connected", () => bus.connected);
  await outbox.flushed(AbortSignal.timeout(10_000));
  expect(await bus.names.lookup("away")).toBeUndefined();
}, 30_000);

const gone = { reason: "CONFLICT" };

it("a name goes to another node once, for good or back", async () => {
  const { names } = await bench.bus();
  const about = { image: "i", imageId: "sha256:1", command: "c", created: 1, labels: {} };
  await names.claim("going", { containerId: "c", nodeId: "a", about });
  const revision = await names.hold("going", "c", "a");
  const transfer = { containerId: "c", from: "a", to: "b", revision };
  await names.transfer("going", transfer);
  await names.transfer("going", transfer);
  expect(await names.lookup("going")).toEqual({ containerId: "c", nodeId: "b", movedFrom: "a", about });
  await expect(names.hold("going", "c", "a")).rejects.toMatchObject({
    ...gone,
    details: { nodeId: "b", movedFrom: "a" },
  });
  await names.giveBack("going", "c", "b");
  await names.giveBack("going", "c", "b");
  expect(await names.lookup("going")).toEqual({ containerId: "c", nodeId: "a", about });
  const again = await names.hold("going", "c", "a");
  await names.transfer("going", { ...transfer, revision: again });
  await names.hold("going", "c", "b");
  expect(await names.lookup("going")).toEqual({ containerId: "c", nodeId: "b", about });
  await expect(names.giveBack("going", "c", "b")).rejects.toMatchObject(gone);
});

it("who holds a name has the last word over a transfer that comes late", async () => {
  const { names } = await bench.bus();
  await names.claim("held", { containerId: "c", nodeId: "a" });
  const revision = await names.hold("held", "c", "a");
  await names.hold("held", "c", "a");
  await expect(names.transfer("held", { containerId: "c", from: "a", to: "b", revision })).rejects.toMatchObject(gone);
  expect(await names.lookup("held")).toEqual({ containerId: "c", nodeId: "a" });
  await expect(names.hold("held", "other", "a")).rejects.toMatchObject({ reason: "NOT_FOUND" });
  await names.release("held", "c");
  await expect(names.hold("held", "c", "a")).rejects.toMatchObject({ reason: "NOT_FOUND" });
});

it("of a transfer and a hold at the same time one wins, and both know which", async () => {
  const { names } = await bench.bus();
  for (let round = 0; round < 20; round++) {
    const name = `race${round}`;
    await names.claim(name, { containerId: "c", nodeId: "a" });
    const revision = await names.hold(name, "c", "a");
    const [given, held] = await Promise.allSettled([
      names.transfer(name, { containerId: "c", from: "a", to: "b", revision }),
      names.hold(name, "c", "a"),
    ]);
    const owner = (await names.lookup(name))?.nodeId;
    expect([given.status, held.status, owner]).toEqual(
      owner === "b" ? ["fulfilled", "rejected", "b"] : ["rejected", "fulfilled", "a"],
    );
  }
});
