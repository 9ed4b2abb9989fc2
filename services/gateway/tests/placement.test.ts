import type { Instance, NodeRecord } from "@berth/bus";
import { describe, expect, it } from "vitest";
import {
  type Candidate,
  noWish,
  place,
  readAffinities,
  readConstraints,
  type Wish,
} from "../src/domain/nodes/placement.ts";
import { Scheduler } from "../src/domain/nodes/scheduler.ts";
import { ownWish, wishOf } from "../src/domain/nodes/wish.ts";
import type { ContainerSpec } from "../src/rpc/types.ts";

const gib = 1024 ** 3;
const node = (name: string, overrides: Partial<Candidate> = {}): Candidate => ({
  nodeId: `id-${name}`,
  name,
  labels: {},
  availability: "active",
  cpus: 2,
  memory: 4 * gib,
  load: { containers: 0, cpus: 0, memory: 0 },
  runtimes: ["runc"],
  sameHost: false,
  ...overrides,
});
const load = (containers: number, cpus = 0, memory = 0) => ({ load: { containers, cpus, memory } });
const wish = (labels: Record<string, string>, overrides: Partial<Wish> = {}): Wish => ({
  ...noWish,
  constraints: readConstraints(labels),
  ...overrides,
});

describe("a container is placed", () => {
  it.each([
    ["where the least is reserved of what is scarcer", [node("a", load(0, 1)), node("b", load(9, 0, gib))], "b"],
    ["by shares, not by sizes", [node("a", load(1, 1)), node("b", { cpus: 16, ...load(1, 2) })], "b"],
    ["then where the fewest containers are", [node("a", load(3, 1)), node("b", load(2, 1))], "b"],
    ["then on this host", [node("a"), node("b", { sameHost: true })], "b"],
    ["then by name", [node("b"), node("a")], "a"],
    ["on no drained node", [node("a", { availability: "drain" }), node("b", load(50, 2, 4 * gib))], "b"],
  ])("%s", (_, nodes, wanted) => {
    expect(place(nodes, noWish).name).toBe(wanted);
  });

  it("with what it will reserve itself reckoned in", () => {
    const nodes = [node("a", load(5)), node("b", { memory: 16 * gib, ...load(6) })];
    expect(place(nodes, noWish).name).toBe("a");
    expect(place(nodes, { ...noWish, memory: gib }).name).toBe("b");
  });

  it("where its labels allow", () => {
    const nodes = [node("web.1", { labels: { disk: "ssd" } }), node("db", { labels: { disk: "hdd", zone: "x" } })];
    expect(place(nodes, wish({ "berth.node": "DB" })).name).toBe("db");
    expect(place(nodes, wish({ "berth.constraint": "node.labels.disk==ssd" })).name).toBe("web.1");
    expect(place(nodes, wish({ "berth.constraint": "node.labels.zone != x, node.name!=nobody" })).name).toBe("web.1");
    expect(place(nodes, wish({ "berth.constraint": "node.id==id-db" })).name).toBe("db");
    expect(() => place(nodes, wish({ "berth.node": "nowhere" }))).toThrow(
      "no suitable node (constraints not satisfied on 2 nodes)",
    );
    expect(() => place([], noWish)).toThrow("no suitable node (there is none)");
  });

  it("where its runtime is, and where no node has it anywhere: that one tells", () => {
    const nodes = [node("a"), node("b", { runtimes: ["runc", "crun"], ...load(5) })];
    expect(place(nodes, { ...noWish, runtime: "crun" }).name).toBe("b");
    expect(place(nodes, { ...noWish, runtime: "kata" }).name).toBe("a");
    expect(() => place(nodes, { ...wish({ "berth.node": "a" }), runtime: "crun" })).toThrow(
      "runtime crun is missing on 1 node",
    );
  });

  it("with what it belongs to, away from what it avoids", () => {
    const nodes = [node("a"), node("b", load(3))];
    expect(place(nodes, { ...noWish, together: new Set(["id-b"]) }).name).toBe("b");
    expect(place(nodes, { ...noWish, apart: new Set(["id-a"]) }).name).toBe("b");
    expect(() => place(nodes, { ...noWish, together: new Set(), apart: new Set(["id-a"]) })).toThrow(
      "no suitable node (what it belongs to is on another node on 2 nodes)",
    );
  });

  it.each([
    [{ "berth.constraint": "node.labels.disk=ssd" }, '"node.labels.disk=ssd" is not of the form KEY==VALUE'],
    [{ "berth.constraint": "engine.labels.x==y" }, "engine.labels.x is none of node.id, node.name"],
    [{ "berth.constraint": Array(65).fill("node.id==x").join() }, "over 64 terms"],
  ])("%o is refused", (labels, message) => {
    expect(() => readConstraints(labels)).toThrow(message);
  });

  it("reads affinities", () => {
    expect(readAffinities({ "berth.affinity": "container==db,container!=web" })).toEqual([
      { container: "db", isWith: true },
      { container: "web", isWith: false },
    ]);
    expect(() => readAffinities({ "berth.affinity": "image==x" })).toThrow('image is not "container"');
  });
});

describe("the scheduler", () => {
  const instances = ["a", "b", "c"].map(
    (name) => ({ nodeId: name, nodeName: name, hostId: name }) as unknown as Instance,
  );
  const records = instances.map(
    ({ nodeId }) =>
      ({ nodeId, name: nodeId, labels: {}, availability: "active", cpus: 2, memory: gib }) as unknown as NodeRecord,
  );

  it("reckons with what it has just placed", () => {
    const scheduler = new Scheduler("b");
    const chosen = Array.from({ length: 9 }, () => scheduler.choose(instances, records, noWish));
    expect(chosen.slice(0, 3)).toEqual(["b", "a", "c"]);
    for (const name of ["a", "b", "c"]) expect(chosen.filter((one) => one === name)).toHaveLength(3);
  });

  it("finds the same node for the same key, whoever asks", () => {
    const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`);
    const of = (hostId: string) => keys.map((key) => new Scheduler(hostId).choose(instances, records, noWish, key));
    expect(of("a")).toEqual(of("b"));
    expect(new Set(of("a")).size).toBe(3);
  });
});

describe("what a container asks of its node", () => {
  const spec = (host: object, labels: Record<string, string> = {}) =>
    ({
      config: { labels },
      hostConfig: {
        networkMode: "bridge",
        ipcMode: "",
        pidMode: "",
        volumesFrom: [],
        links: [],
        binds: [],
        mounts: [],
        ...host,
      },
    }) as unknown as ContainerSpec;
  const where = {
    nodeOfContainer: (name: string) => Promise.resolve(`node-of-${name}`),
    nodesOfVolume: (name: string) => Promise.resolve(name === "data" ? ["n1", "n2"] : []),
  };

  it("is what it reserves", () => {
    const of = (resources: object) => ownWish(spec({ resources }));
    expect(of({ nanoCpus: 1.5e9, memory: 5, memoryReservation: 3 })).toMatchObject({ cpus: 1.5, memory: 3 });
    expect(of({ cpuQuota: 50_000, memory: 5 })).toMatchObject({ cpus: 0.5, memory: 5 });
  });

  it("is the node of what it shares something with", async () => {
    const together = async (host: object, labels = {}) => [
      ...((await wishOf(spec(host, labels), where)).together ?? []),
    ];
    expect(await together({})).toEqual([]);
    expect(await together({ networkMode: "container:web" })).toEqual(["node-of-web"]);
    expect(await together({ volumesFrom: ["db:ro"], links: ["/db:alias"] })).toEqual(["node-of-db"]);
    expect(await together({ binds: ["data:/x", "/host:/y"], mounts: [{ type: "volume", source: "new" }] })).toEqual([
      "n1",
      "n2",
    ]);
    expect(await together({}, { "berth.affinity": "container==db" })).toEqual(["node-of-db"]);
    // Two that are apart already: no node has both.
    expect((await wishOf(spec({ ipcMode: "container:a", pidMode: "container:b" }), where)).together).toEqual(new Set());
  });
});
