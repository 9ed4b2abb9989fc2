import type { Bus, Instance } from "@berth/bus";
import { BerthError } from "@berth/errors";
import { createLogger } from "@berth/log";
import { describe, expect, it } from "vitest";
import { Containers } from "../src/domain/containers.ts";
import { Images } from "../src/domain/images.ts";
import { Nodes } from "../src/domain/nodes/nodes.ts";
import type { ContainerSummary, Supervisor } from "../src/rpc/types.ts";

const id = (letter: string) => letter.repeat(64);

/** Nodes by name, each with its containers; `asked` notes who was asked for what. */
function cluster(held: Record<string, { id: string; name: string; created: number }[]>, down: string[] = []) {
  const asked: string[] = [];
  const listeners: (() => void)[] = [];
  const instances = Object.keys(held).map(
    (nodeId, index) =>
      ({ nodeId, nodeName: nodeId, hostId: `host${index}`, role: "supervisor" }) as unknown as Instance,
  );
  const bus = {
    connected: true,
    instances: () => instances,
    onInstances: (listener: () => void) => {
      listeners.push(listener);
      return () => {};
    },
    waitFor: () => Promise.reject(new BerthError("UNAVAILABLE", "no")),
    nodes: {
      follow: () => undefined,
      read: () => {
        const isThere = (nodeId: string) => instances.some((instance) => instance.nodeId === nodeId);
        const record = (nodeId: string) => ({
          nodeId,
          name: `host of ${nodeId}`,
          ...(!isThere(nodeId) && { awaySince: "2026-01-01T00:00:00Z" }),
        });
        return Promise.resolve(Object.keys(held).map(record));
      },
    },
    names: {
      follow: () => undefined,
      lookup: (name: string) => {
        const owner = Object.entries(held).find(([, list]) => list.some((container) => container.name === name));
        const found = owner?.[1].find((container) => container.name === name);
        return Promise.resolve(owner === undefined ? undefined : { nodeId: owner[0], containerId: found?.id ?? "" });
      },
    },
  } as unknown as Bus;
  const connect = (nodeId: string) => {
    const refuse = () => Promise.reject(new BerthError("UNAVAILABLE", `${nodeId} is down`));
    return {
      inspect: ({ container }: { container: string }) => {
        asked.push(`${nodeId} ${container}`);
        if (down.includes(nodeId)) return refuse();
        const found = held[nodeId]?.find((one) => one.id.startsWith(container));
        if (found === undefined)
          return Promise.reject(new BerthError("NO_SUCH_CONTAINER", `No such container: ${container}`));
        return Promise.resolve({ container: found });
      },
      list: () =>
        down.includes(nodeId)
          ? refuse()
          : Promise.resolve({
              containers: (held[nodeId] ?? []).map(({ created, ...one }) => ({
                ...one,
                nodeId,
                created: { seconds: created, nanos: 0 },
              })),
            }),
    } as unknown as Supervisor;
  };
  const log = createLogger({ service: "test", level: "silent" });
  const nodes = new Nodes({ bus, hostId: "host1", connect, log });
  const images = new Images({ store: {} as never, snapshotter: () => undefined, bus });
  const containers = new Containers({ nodes, images, nodesOfVolume: () => Promise.resolve([]), log });
  return { asked, containers, nodes, instances, changed: () => listeners.map((listener) => listener()) };
}

const two = { a: [{ id: id("a"), name: "alpha", created: 1 }], b: [{ id: id("b"), name: "beta", created: 2 }] };

describe("which node has a container", () => {
  it("with one node is that one, and nobody is asked", async () => {
    const { asked, nodes } = cluster({ a: [] });
    expect((await nodes.of("anything")).nodeId).toBe("a");
    expect(asked).toEqual([]);
  });
  it("is found again when its container has moved without our hearing of it", async () => {
    const held = { a: [...two.a], b: [...two.b] };
    const { nodes } = cluster(held);
    nodes.remember(id("b"), "b");
    const { supervisor } = await nodes.of(id("b"));
    held.a.push(...held.b.splice(0));
    expect((await supervisor.inspect({ container: id("b") })).container).toMatchObject({ name: "beta" });
    expect((await nodes.of(id("b"))).nodeId).toBe("a");
    held.a.splice(0);
    await expect(supervisor.inspect({ container: id("b") })).rejects.toMatchObject({ reason: "NO_SUCH_CONTAINER" });
  });
  it("is looked up by name, and asked by id prefix once", async () => {
    const { asked, nodes } = cluster(two);
    expect((await nodes.of("/beta")).nodeId).toBe("b");
    expect(asked).toEqual([]);
    expect((await nodes.of(id("b"))).nodeId).toBe("b");
    expect(asked).toHaveLength(2);
    expect((await nodes.of(id("b"))).nodeId).toBe("b");
    expect(asked).toHaveLength(2);
  });
  it("is no node's: said only when all nodes said so", async () => {
    await expect(cluster(two).nodes.of("cccc")).rejects.toThrow("No such container: cccc");
    await expect(cluster(two, ["a"]).nodes.of("cccc")).rejects.toThrow("a is down");
  });
  it("is one that is not there yet: that is no container that is missing", async () => {
    const { nodes, instances, changed } = cluster(two);
    instances.splice(0, 1);
    changed();
    await nodes.ready();
    await expect(nodes.of("alpha")).rejects.toThrow("container alpha is on node host of a, which is unreachable since");
    await expect(nodes.of("gamma")).rejects.toThrow("No such container: gamma");
  });
  it("for a new one is this host's", async () => {
    expect((await cluster(two).nodes.forNew()).nodeId).toBe("b");
  });
  it("follows the nodes that come and go", async () => {
    const { nodes, instances, changed } = cluster(two);
    expect(nodes.all()).toHaveLength(2);
    instances.pop();
    changed();
    expect(nodes.all()).toHaveLength(1);
  });
});

describe("a list over several nodes", () => {
  const ids = (found: ContainerSummary[]) => found.map((container) => container.id);
  it("is one list, newest first, bounded as a whole", async () => {
    const { containers } = cluster(two);
    expect(ids(await containers.list({ all: true }))).toEqual([id("b"), id("a")]);
    expect(ids(await containers.list({ all: true, limit: 1 }))).toEqual([id("b")]);
  });
  it("leaves out a node that does not answer, unless none does", async () => {
    expect(ids(await cluster(two, ["b"]).containers.list({ all: true }))).toEqual([id("a")]);
    await expect(cluster(two, ["a", "b"]).containers.list({ all: true })).rejects.toThrow("is down");
    await expect(cluster(two, ["b"]).containers.list({ all: true }, undefined, true)).rejects.toThrow("is down");
  });
});
