// Bridges, endpoints, routes, counters and nft through the addon, each in a network namespace of the test's own. Needs root.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import type { BridgeOptions, EndpointOptions, InterfaceStats } from "../../ts/net.ts";

const run = promisify(execFile);
const ip = async (...args: string[]) => (await run("ip", args)).stdout;

/** A namespace with a process inside that makes the calls. */
class Host {
  readonly name: string;
  readonly #child: ReturnType<typeof spawn>;
  readonly #answers: AsyncIterator<string>;
  pid = 0;

  private constructor(name: string) {
    this.name = name;
    const helper = join(import.meta.dirname, "../support/net-helper.ts");
    this.#child = spawn("nsenter", [`--net=/run/netns/${name}`, "--", process.execPath, helper], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (this.#child.stdout === null) throw new Error("no pipe");
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  static async open(): Promise<Host> {
    const name = `berth-net-${process.pid}-${count++}`;
    await ip("netns", "add", name);
    await ip("-n", name, "link", "set", "lo", "up");
    const host = new Host(name);
    hosts.push(host);
    host.pid = await host.call<number>("pid");
    return host;
  }

  async call<T = void>(call: string, ...args: unknown[]): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify({ call, args })}\n`);
    const { value } = await this.#answers.next();
    const answer = JSON.parse(value as string) as { value: T; error?: { code: string; message: string } };
    if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
    return answer.value;
  }

  /** `ip -j` inside. */
  async look<T = Record<string, unknown>>(...args: string[]): Promise<T[]> {
    return JSON.parse((await ip("-n", this.name, "-j", ...args)) || "[]") as T[];
  }

  /** A command in the namespace of a descriptor of the helper's. */
  async inside(namespace: number, ...command: string[]): Promise<string> {
    return (await run("nsenter", [`--net=/proc/${this.pid}/fd/${namespace}`, "--", ...command])).stdout;
  }

  async links(): Promise<string[]> {
    return (await this.look<{ ifname: string }>("link")).map(({ ifname }) => ifname).filter((name) => name !== "lo");
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    await ip("netns", "del", this.name);
  }
}

let count = 0;
const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.close();
});

const bridge: BridgeOptions = { name: "tbr0", address: "10.77.0.1/16", mtu: 1400 };
const endpointIn = (namespace: number, change: Partial<EndpointOptions> = {}): EndpointOptions => ({
  namespace,
  bridge: bridge.name,
  hostInterface: "tveth1",
  name: "eth0",
  mac: "02:42:0a:4d:00:02",
  address: "10.77.0.2/16",
  gateway: "10.77.0.1",
  mtu: 1400,
  ...change,
});

test("a bridge: made, addressed, up, and the second time left as it is", async () => {
  const host = await Host.open();
  await host.call("ensureBridge", bridge);
  const look = () => host.look<Record<string, unknown>>("-d", "-4", "addr", "show", "dev", bridge.name);
  const [made] = await look();
  expect(made).toMatchObject({
    mtu: 1400,
    flags: expect.arrayContaining(["UP"]),
    linkinfo: { info_kind: "bridge" },
    addr_info: [{ local: "10.77.0.1", prefixlen: 16, broadcast: "10.77.255.255" }],
  });
  await host.call("ensureBridge", bridge);
  const [again] = await look();
  expect([again?.["ifindex"], again?.["addr_info"]]).toEqual([made?.["ifindex"], made?.["addr_info"]]);
  const inside = async (path: string) =>
    (await run("nsenter", [`--net=/run/netns/${host.name}`, "--", "cat", `/proc/sys/net/ipv4/${path}`])).stdout.trim();
  expect([await inside("ip_forward"), await inside("conf/tbr0/route_localnet")]).toEqual(["1", "1"]);
  await host.call("removeLink", bridge.name);
  await host.call("removeLink", bridge.name);
  expect(await host.links()).toEqual([]);
});

test("an endpoint: addressed, routed, reachable, hairpin on; gone with its namespace", async () => {
  const host = await Host.open();
  await host.call("ensureBridge", bridge);
  const namespace = await host.call<number>("createNamespace");
  await host.call("createEndpoint", endpointIn(namespace));
  const [port] = await host.look<{ linkinfo: { info_slave_data: object } }>("-d", "link", "show", "dev", "tveth1");
  expect(port).toMatchObject({ master: "tbr0", mtu: 1400, linkinfo: { info_slave_data: { hairpin: true } } });
  const inner = JSON.parse(await host.inside(namespace, "ip", "-j", "addr")) as { ifname: string }[];
  expect(inner.find(({ ifname }) => ifname === "eth0")).toMatchObject({
    address: "02:42:0a:4d:00:02",
    mtu: 1400,
    flags: expect.arrayContaining(["UP"]),
    addr_info: expect.arrayContaining([expect.objectContaining({ local: "10.77.0.2", prefixlen: 16 })]),
  });
  expect(inner.find(({ ifname }) => ifname === "lo")).toMatchObject({ flags: expect.arrayContaining(["UP"]) });
  expect(JSON.parse(await host.inside(namespace, "ip", "-j", "route"))).toContainEqual(
    expect.objectContaining({ dst: "default", gateway: "10.77.0.1", dev: "eth0" }),
  );
  await host.inside(namespace, "busybox", "ping", "-c", "1", "-W", "2", "10.77.0.1");
  const stats = await host.call<InterfaceStats[]>("interfaceStats", namespace);
  expect(stats).toMatchObject([{ name: "eth0", rxErrors: 0, txErrors: 0 }]);
  expect(stats[0]?.rxPackets).toBeGreaterThan(0);
  expect(stats[0]?.txBytes).toBeGreaterThan(0);

  await host.call("close", namespace);
  await expect.poll(() => host.links(), { timeout: 5_000 }).toEqual(["tbr0"]);
});

test("two endpoints reach each other; without a gateway there is no default route", async () => {
  const host = await Host.open();
  await host.call("ensureBridge", bridge);
  const [first, second] = [await host.call<number>("createNamespace"), await host.call<number>("createNamespace")];
  await host.call("createEndpoint", endpointIn(first));
  const other = { hostInterface: "tveth2", mac: "02:42:0a:4d:00:03", address: "10.77.0.3/16", gateway: null };
  await host.call("createEndpoint", endpointIn(second, other));
  await host.inside(first, "busybox", "ping", "-c", "1", "-W", "2", "10.77.0.3");
  expect(await host.inside(second, "ip", "route", "show", "default")).toBe("");
  await host.call("removeLink", "tveth1");
  expect(await host.call("interfaceStats", first)).toEqual([]);
});

test("what cannot be made leaves nothing behind", async () => {
  const host = await Host.open();
  await host.call("ensureBridge", bridge);
  const namespace = await host.call<number>("createNamespace");
  const make = (change: Partial<EndpointOptions>) => host.call("createEndpoint", endpointIn(namespace, change));
  await expect(make({ address: "10.77.0.2" })).rejects.toMatchObject({ code: "EINVAL", message: /address/ });
  await expect(make({ address: "10.77.0.2/33" })).rejects.toMatchObject({ code: "EINVAL" });
  await expect(make({ mac: "02:42" })).rejects.toMatchObject({ code: "EINVAL", message: /mac/ });
  await expect(make({ gateway: "x" })).rejects.toMatchObject({ code: "EINVAL", message: /gateway/ });
  await expect(make({ hostInterface: "a/b" })).rejects.toMatchObject({ code: "EINVAL", message: /hostInterface/ });
  await expect(make({ hostInterface: "a".repeat(16) })).rejects.toMatchObject({ code: "EINVAL" });
  await expect(make({ bridge: "missing0" })).rejects.toMatchObject({ code: "ENODEV", message: /missing0/ });
  // Inside: the pair is made, and then the route cannot be.
  await expect(make({ gateway: "192.0.2.1" })).rejects.toMatchObject({ code: "ENETUNREACH" });
  expect(await host.links()).toEqual(["tbr0"]);
  expect(await host.call("interfaceStats", namespace)).toEqual([]);

  await make({});
  const [port] = await host.look("link", "show", "dev", "tveth1");
  // A name that is taken, here or inside: what has it keeps it.
  await expect(make({})).rejects.toMatchObject({ code: "EEXIST", message: /tveth1/ });
  await expect(make({ hostInterface: "tveth2" })).rejects.toMatchObject({ code: "EEXIST" });
  expect((await host.look("link", "show", "dev", "tveth1"))[0]?.["ifindex"]).toBe(port?.["ifindex"]);
  expect((await host.links()).sort()).toEqual(["tbr0", "tveth1"]);
  await expect(host.call("createEndpoint", endpointIn(9999, { hostInterface: "tveth3" }))).rejects.toThrow();
  await expect(host.call("interfaceStats", 9999)).rejects.toThrow();
  await expect(host.call("ensureBridge", { ...bridge, name: "tbr1", address: "10.0.0.0.1/8" })).rejects.toMatchObject({
    code: "EINVAL",
  });
  expect((await host.links()).sort()).toEqual(["tbr0", "tveth1"]);
});

test("routes: what this namespace reaches by a prefix, without the default", async () => {
  const host = await Host.open();
  expect(await host.call("routes")).toEqual([]);
  await host.call("ensureBridge", bridge);
  await ip("-n", host.name, "route", "add", "192.0.2.0/24", "via", "10.77.0.9");
  await ip("-n", host.name, "route", "add", "default", "via", "10.77.0.9");
  expect((await host.call<string[]>("routes")).sort()).toEqual(["10.77.0.0/16", "192.0.2.0/24"]);
});

test("nft: a transaction, whole or not at all, in nft's own words", async () => {
  const host = await Host.open();
  const list = () => host.call<string>("nft", "list tables");
  expect(await host.call("nft", "add table inet t\nadd set inet t s { type ipv4_addr; }")).toBe("");
  expect(await list()).toBe("table inet t\n");
  await expect(host.call("nft", "add table inet u\nadd element inet t s { nonsense.example }")).rejects.toMatchObject({
    code: "EINVAL",
    message: /Error:/,
  });
  await expect(host.call("nft", "add table inet u\nadd element inet t missing { 10.0.0.1 }")).rejects.toMatchObject({
    code: "EINVAL",
    message: /No such file or directory/,
  });
  expect(await list()).toBe("table inet t\n");
  await host.call("nft", "delete table inet t");
  expect(await list()).toBe("");
});
