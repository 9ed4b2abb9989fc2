import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { NodeFacts, NodeRecord } from "../src/index.ts";
import { Bench, instance, until } from "./support.ts";

const bench = new Bench();
beforeAll(() => bench.start());
afterAll(() => bench.close());

const facts = (name: string, overrides: Partial<NodeFacts> = {}): NodeFacts => ({
  nodeId: `id-${name}`,
  name,
  cpus: 2,
  memory: 1024 ** 3,
  version: "1",
  runtimes: ["runc"],
  ...overrides,
});

describe("the directory of nodes", () => {
  it("enters a node once, and keeps what operators said of it over its restarts", async () => {
    const { nodes } = await bench.bus();
    const entered = await nodes.register(facts("one.example"), { disk: "ssd" });
    expect(entered).toMatchObject({ name: "one.example", labels: { disk: "ssd" }, availability: "active" });
    await nodes.change("id-one.example", (record) => ({
      ...record,
      availability: "drain",
      awaySince: "2026-01-01T00:00:00Z",
    }));
    const again = await nodes.register(facts("one.example", { version: "2" }), { disk: "hdd" });
    expect(again).toEqual({ ...entered, version: "2", availability: "drain" });
    expect(await nodes.read()).toEqual([again]);
    await nodes.remove("id-one.example");
    await nodes.remove("id-one.example");
    expect(await nodes.read()).toEqual([]);
  });

  it("gives a name to one node alone, until that is removed", async () => {
    const [{ nodes: a }, { nodes: b }] = await Promise.all([bench.bus(), bench.bus()]);
    const tries = [a, b, a, b].map(({ register }, i) => register(facts("twin", { nodeId: `t${i}` })));
    const results = await Promise.allSettled(tries);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const [holder] = await a.read();
    for (const result of results)
      if (result.status === "rejected")
        expect(result.reason).toMatchObject({ reason: "NAME_IN_USE", details: { nodeId: holder?.nodeId } });
    await b.remove(holder?.nodeId ?? "");
    await a.register(facts("twin", { nodeId: "new" }));
    await a.remove("new");
  });

  it("moves a node to the new name of its host", async () => {
    const { nodes } = await bench.bus();
    await nodes.register(facts("before", { nodeId: "mover" }), { rack: "7" });
    await nodes.register(facts("after", { nodeId: "mover" }));
    expect((await nodes.read()).map(({ name, labels }) => [name, labels])).toEqual([["after", { rack: "7" }]]);
    await nodes.remove("mover");
  });

  it("loses no change of many that are made at once", async () => {
    const buses = await Promise.all([bench.bus(), bench.bus(), bench.bus()]);
    await buses[0].nodes.register(facts("busy"));
    await Promise.all(
      buses.map(({ nodes }, i) =>
        nodes.change("id-busy", (record) => ({ ...record, labels: { ...record.labels, [`l${i}`]: "x" } })),
      ),
    );
    expect((await buses[0].nodes.read())[0]?.labels).toEqual({ l0: "x", l1: "x", l2: "x" });
    await expect(buses[0].nodes.change("nobody", (record) => record)).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await buses[0].nodes.remove("id-busy");
  });

  it("is followed from the beginning, and over an outage", async () => {
    const [{ nodes: writer }, { nodes: reader }] = await Promise.all([bench.bus(), bench.bus()]);
    await writer.register(facts("first"));
    let seen: readonly NodeRecord[] = [];
    reader.follow((nodes) => {
      seen = nodes;
    });
    const names = () => seen.map(({ name }) => name).join();
    await until("the nodes are seen", () => names() === "first");
    await writer.register(facts("second"));
    await until("the nodes are seen", () => names() === "first,second");
    await bench.kill();
    await bench.start();
    await writer.remove("id-first");
    await until("the nodes are seen", () => names() === "second");
  });
});

it("tells of a load without waking anybody", async () => {
  const [teller, listener] = await Promise.all([bench.bus(), bench.bus()]);
  let containers = 1;
  const presence = teller.announce(instance({ nodeId: "loaded" }), () => ({
    load: { containers, cpus: 0.5, memory: 5 },
  }));
  const found = () => listener.instances("supervisor").find(({ nodeId }) => nodeId === "loaded");
  await until("its load is seen", () => found()?.load?.containers === 1);
  let woken = 0;
  listener.onInstances(() => woken++);
  containers = 2;
  await until("its load is seen", () => found()?.load?.containers === 2);
  expect(woken).toBe(0);
  presence.leave();
  await until("its load is seen", () => found() === undefined);
});
