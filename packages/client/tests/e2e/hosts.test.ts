// A gateway before nodes on other hosts: what it says is what a node says, and all nodes together are one.
import { join } from "node:path";
import { AuthorityDefinition } from "@berth/api/authority";
import { createClients } from "@berth/rpc/client";
import { eventually, type Host, type Hosts, openHosts } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Berth, connectBerth } from "../../src/index.ts";
import { ask, contract, specOf } from "./contract.ts";
import { expectedOf, outcomeOf } from "./outcomes.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let third: Host;
let busybox: string;
let berth: Berth;

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, second, third] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await first.start({ args: ["--advertise", first.address], services: ["image-store", "registry-proxy", "gateway"] });
  for (const host of [second, third])
    await host.start({ args: ["--join", await token()], services: ["snapshotter", "supervisor"] });
  await first.docker.must(["pull", "-q", busybox]);
  berth = connectBerth(`unix:${first.runDir}/gateway.sock`);
  await eventually("both nodes are seen", async () => (await berth.nodes.list()).length === 2 || undefined);
}, 120_000);

afterAll(async () => {
  berth?.close();
  await hosts?.close();
}, 120_000);

async function token(): Promise<string> {
  const clients = createClients(undefined, { hostId: "" });
  try {
    return (await clients.at(AuthorityDefinition, `unix:${first.runDir}/authority.sock`).createToken({})).text;
  } finally {
    clients.close();
  }
}

describe("each call", () => {
  it.each(contract("").map(({ does }, index) => [does, index] as const))("%s", async (_does, index) => {
    const step = contract(busybox)[index];
    if (step === undefined) throw new Error("no such step");
    const outcome = await outcomeOf(step, gateway);
    expect(outcome).toMatchObject(expectedOf(step));
    outcomes.push(outcome);
  });

  it("comes to what it comes to at a node's own socket", async () => {
    const ofNode: object[] = [];
    for (const step of contract(busybox)) ofNode.push(await outcomeOf(step, node));
    expect(outcomes).toEqual(ofNode);
  }, 60_000);

  const outcomes: object[] = [];
  let gateway: ReturnType<typeof ask>;
  let node: ReturnType<typeof ask>;
  beforeAll(() => {
    gateway = ask(() => `unix:${first.runDir}/gateway.sock`);
    node = askNode(second);
  });
  afterAll(() => {
    gateway.close();
    node.close();
  });
});

it("lists and finds what is on any node, newest first", async () => {
  const made: string[] = [];
  for (const [index, host] of [second, third, second, third].entries()) {
    const node = askNode(host);
    const spec = await specOf(node, busybox, ["sleep", "100"]);
    const { id } = await node.supervisor.create({
      name: `c${index}`,
      spec: { ...spec, hostConfig: { networkMode: "bridge" } },
    });
    node.close();
    made.unshift(id);
  }
  expect((await berth.containers.list({ all: true })).map(({ id }) => id)).toEqual(made);
  expect((await berth.containers.list({ all: true, limit: 3 })).map(({ id }) => id)).toEqual(made.slice(0, 3));
  for (const [index, id] of [...made].reverse().entries())
    for (const reference of [id, id.slice(0, 15), `c${index}`]) {
      const { id: found, nodeName } = await berth.containers.inspect(reference);
      expect([found, nodeName]).toEqual([id, (index % 2 === 0 ? second : third).name]);
    }
  await berth.containers.start("c0");
  await berth.containers.start("c1");
  for (const name of ["c0", "c1"]) {
    const exec = await berth.containers.execs.run(name, { cmd: ["cat"], stdin: true });
    exec.streams.stdin.end(name);
    const [said] = (await exec.streams.stdout.toArray()) as Buffer[];
    expect([said?.toString(), await exec.exit()]).toEqual([name, 0]);
  }
  // A name is taken on all nodes.
  await expect(berth.containers.rename("c2", "c1")).rejects.toMatchObject({ reason: "NAME_IN_USE" });
  await expect(berth.containers.inspect("nobody")).rejects.toMatchObject({ message: "No such container: nobody" });
  const bridge = (await berth.networks.list()).filter(({ name }) => name === "bridge");
  expect(bridge.map(({ members }) => members.map(({ name }) => name).sort())).toEqual([["c0", "c1"]]);
  const nodes = await berth.nodes.list();
  expect(nodes.map(({ name, state }) => [name, state])).toEqual([
    [second.name, "ready"],
    [third.name, "ready"],
  ]);
  expect(
    nodes.every(({ availability, awaySince, capacity }) => availability === "active" && !awaySince && capacity),
  ).toBe(true);
  for (const id of made) await berth.containers.remove(id, { force: true });
});

it("knows the volumes of all nodes", async () => {
  for (const host of [second, third]) {
    const node = askNode(host);
    await node.volumes.create({ name: `v-${host.name}` });
    node.close();
  }
  expect((await berth.volumes.list()).map(({ name }) => name).sort()).toEqual([`v-${second.name}`, `v-${third.name}`]);
  expect((await berth.volumes.inspect(`v-${third.name}`)).name).toBe(`v-${third.name}`);
  await berth.volumes.remove(`v-${second.name}`);
  expect((await berth.volumes.prune({ all: ["true"] })).names).toEqual([`v-${third.name}`]);
  await expect(berth.volumes.inspect("nobody")).rejects.toMatchObject({ reason: "NO_SUCH_VOLUME" });
});

it("shows what is known of a node that is away, and of its containers", async () => {
  const node = askNode(third);
  const { id } = await node.supervisor.create({ name: "far", spec: await specOf(node, busybox, ["sleep", "100"]) });
  node.close();
  expect((await berth.containers.inspect("far")).nodeName).toBe(third.name);
  await third.stop();
  const awaySince = await eventually(
    "the node is away",
    async () => (await berth.nodes.inspect(third.name)).awaySince,
    15_000,
  );
  expect(awaySince.getTime()).toBeGreaterThan(Date.now() - 60_000);
  expect((await berth.nodes.list()).map(({ state }) => state)).toEqual(["ready", "away"]);
  expect((await berth.containers.inspect("far")).id).toBe(id);
  expect((await berth.containers.list({ all: true })).map((one) => one.id)).toEqual([id]);
  // Nobody can start it; a client that is not patient hears so at once.
  const hasty = connectBerth(`unix:${first.runDir}/gateway.sock`, { patienceMs: 0 });
  await expect(hasty.containers.start("far")).rejects.toMatchObject({
    reason: "UNAVAILABLE",
    message: expect.stringMatching(/^container far is on node \S+, which is unreachable since /),
  });
  hasty.close();
  await third.start();
  await eventually(
    "the node is back",
    async () => (await berth.nodes.inspect(third.name)).state === "ready" || undefined,
  );
  await berth.containers.remove("far");
}, 90_000);

it("is reached over TLS by who has a gateway's certificate, and by nobody else", async () => {
  const user = async (address: string, ca: string, identity: string) => {
    const script = join(import.meta.dirname, "remote-user.ts");
    const { stdout } = await second.run([process.execPath, script, address, ca, identity]);
    return stdout.trim();
  };
  const address = `tcp://${first.address}:7608`;
  const identity = (host: Host, role: string) => join(host.root, "identity", `${role}.pem`);
  const ca = join(first.root, "identity/ca.pem");
  expect(await user(address, ca, identity(first, "gateway"))).toBe(`${second.name} ${third.name}`);
  expect(await user(address, ca, identity(second, "supervisor"))).toBe("FORBIDDEN");
  expect(await user(address, "", "")).toBe("INVALID_ARGUMENT");
}, 60_000);

/** A node's own services, with those of the site. */
const askNode = (host: Host) =>
  ask((service) => `unix:${(service === "supervisor" ? host : first).runDir}/${service}.sock`);
