import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { hostsText, parseResolvConf, resolvConfText } from "../src/domain/network/files.ts";
import { AddressPool, choosePool, parseSubnet, subnetText, toText } from "../src/domain/network/pool.ts";
import { PortAllocator } from "../src/domain/network/ports.ts";
import { addPortsText, deletePortsText, tableText } from "../src/domain/network/rules.ts";
import { parsePortRequests } from "../src/domain/validate/ports.ts";
import { makeSpec } from "./support.ts";

test("the first default pool that no route overlaps", () => {
  expect(subnetText(choosePool([]))).toBe("172.17.0.0/16");
  expect(subnetText(choosePool(["0.0.0.0/0", "10.0.0.0/8"]))).toBe("172.17.0.0/16");
  expect(subnetText(choosePool(["172.17.5.0/24", "172.18.0.1"]))).toBe("172.19.0.0/16");
  expect(() => choosePool(["172.16.0.0/12"])).toThrow("all predefined address pools have been fully subnetted");
  expect(() => parseSubnet("172.17.0.0")).toThrow("is not an IPv4 subnet");
  expect(() => parseSubnet("300.1.1.1/8")).toThrow("is not an IPv4 subnet");
});

test("addresses go round, the gateway and the edges are nobody's", () => {
  const pool = new AddressPool(parseSubnet("10.1.2.0/29"));
  expect(pool.gateway).toBe("10.1.2.1");
  const all = Array.from({ length: 5 }, () => pool.take());
  expect(all).toEqual(["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
  expect(() => pool.take()).toThrow("no available IPv4 addresses");
  pool.release("10.1.2.3");
  pool.release("10.1.2.5");
  expect([pool.take(), pool.take()]).toEqual(["10.1.2.3", "10.1.2.5"]);
  expect(pool.reserve("10.1.2.3")).toBe(false);
  expect(pool.reserve("10.9.9.9")).toBe(false);
  expect(toText(0xffffffff)).toBe("255.255.255.255");
});

test("ports: fixed, of a range, any; conflicts between one address and all", async () => {
  const ports = new PortAllocator();
  const request = (hostIp: string, first: number, last = first) => ({
    containerPort: 80,
    protocol: "tcp" as const,
    hostIp,
    hostPortFirst: first,
    hostPortLast: last,
  });
  const target = { address: "127.0.0.1", port: 80 };
  const take = async (hostIp: string, first: number, last = first) => {
    const holds = await ports.allocate(request(hostIp, first, last), target);
    return { port: holds[0]?.hostPort ?? 0, addresses: holds.map((hold) => hold.hostIp), holds };
  };
  const give = ({ holds }: Awaited<ReturnType<typeof take>>) => {
    for (const hold of holds) hold.release();
  };
  const any = await take("127.0.0.1", 0);
  expect(any.port).toBeGreaterThan(1024);
  const taken = { message: "port is already allocated", hostIp: "127.0.0.1" };
  await expect(take("127.0.0.1", any.port)).rejects.toMatchObject(taken);
  await expect(take("", any.port)).rejects.toMatchObject(taken);
  // The other kind of address is another port.
  const six = await take("::1", any.port);
  await expect(take("::", any.port)).rejects.toMatchObject({ message: "port is already allocated", hostIp: "::1" });
  give(six);
  give(any);
  const again = await take("127.0.0.1", any.port, any.port + 3);
  expect(again.port).toBe(any.port);
  const next = await take("127.0.0.1", any.port, any.port + 3);
  expect(next.port).toBeGreaterThan(any.port);
  give(again);
  give(next);
  const both = await take("", 0);
  expect(both.addresses).toEqual(["0.0.0.0", "::"]);
  await expect(take("", both.port)).rejects.toMatchObject({ hostIp: "0.0.0.0" });
  await expect(take("127.0.0.1", both.port)).rejects.toMatchObject({ hostIp: "0.0.0.0" });
  give(both);
  // A listener of the host's own.
  const server = createServer();
  const port = await new Promise<number>((done) =>
    server.listen(0, "127.0.0.1", () => done((server.address() as { port: number }).port)),
  );
  await expect(take("127.0.0.1", port)).rejects.toMatchObject({ bind: "address already in use" });
  await new Promise((done) => server.close(done));
  give(await take("127.0.0.1", port));
});

test("what comes to an IPv6 address is carried to the container, both ways and to the end", async () => {
  const inside = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  const port = await new Promise<number>((done) =>
    inside.listen(0, "127.0.0.1", () => done((inside.address() as { port: number }).port)),
  );
  const ports = new PortAllocator();
  const request = { containerPort: port, hostIp: "::1", hostPortFirst: 0, hostPortLast: 0 };
  const target = { address: "127.0.0.1", port };
  const [tcp] = await ports.allocate({ ...request, protocol: "tcp" }, target);
  const client = connect({ host: "::1", port: tcp?.hostPort ?? 0, allowHalfOpen: true });
  const sent = Buffer.alloc(3 << 20, "x");
  client.end(sent);
  expect(Buffer.concat(await client.toArray()).equals(sent)).toBe(true);

  const echo = createSocket("udp4");
  echo.on("message", (message, { port: from, address }) => echo.send(message, from, address));
  await new Promise<void>((done) => echo.bind(port, "127.0.0.1", done));
  const [udp] = await ports.allocate({ ...request, protocol: "udp" }, target);
  const asking = createSocket("udp6");
  const answer = once(asking, "message");
  asking.send("ping", udp?.hostPort ?? 0, "::1");
  expect(String((await answer)[0])).toBe("ping");

  const open = connect({ host: "::1", port: tcp?.hostPort ?? 0 });
  await once(open, "connect");
  tcp?.release();
  await once(open.resume(), "close");
  udp?.release();
  for (const socket of [echo, asking]) socket.close();
  inside.close();
});

test("-P publishes what is exposed and not bound", () => {
  const { config, hostConfig } = makeSpec(
    { publishAllPorts: true, portBindings: [{ containerPort: "80/tcp", hostIp: "0.0.0.0", hostPort: "8000-8010" }] },
    { exposedPorts: ["80/tcp", "53/udp", "90-91", "9/foo", "22/SCTP"] },
  );
  expect(parsePortRequests(config, hostConfig)).toEqual([
    { containerPort: 80, protocol: "tcp", hostIp: "0.0.0.0", hostPortFirst: 8000, hostPortLast: 8010 },
    { containerPort: 53, protocol: "udp", hostIp: "", hostPortFirst: 0, hostPortLast: 0 },
    { containerPort: 22, protocol: "sctp", hostIp: "", hostPortFirst: 0, hostPortLast: 0 },
  ]);
});

test("rules name only our table and bridge", () => {
  const text = tableText({ bridge: "berth0", subnet: "172.17.0.0/16" });
  for (const line of text.split("\n")) expect(line).toMatch(/^(add|flush) (table|map|chain|rule) inet berth/);
  const rules = [
    { protocol: "tcp" as const, hostIp: "", hostPort: 8080, address: "172.17.0.2", port: 80 },
    { protocol: "udp" as const, hostIp: "127.0.0.1", hostPort: 53, address: "172.17.0.2", port: 53 },
  ];
  expect(addPortsText(rules)).toBe(
    "add element inet berth tcp_ports { 8080 : 172.17.0.2 . 80 }\nadd element inet berth udp_addr_ports { 127.0.0.1 . 53 : 172.17.0.2 . 53 }",
  );
  expect(deletePortsText(rules)).toBe(
    "delete element inet berth tcp_ports { 8080 }\ndelete element inet berth udp_addr_ports { 127.0.0.1 . 53 }",
  );
});

test("hosts and resolv.conf", async () => {
  const spec = makeSpec(
    { extraHosts: ["x:1.2.3.4", "gw:host-gateway", "six:[::1]"] },
    { hostname: "web", domainname: "example.org" },
  );
  expect(hostsText(spec, "172.17.0.2", "172.17.0.1").split("\n").slice(6)).toEqual([
    "1.2.3.4\tx",
    "172.17.0.1\tgw",
    "::1\tsix",
    "172.17.0.2\tweb.example.org web",
    "",
  ]);
  expect(parseResolvConf("nameserver 1.1.1.1 # x\n;c\nsearch a b\nsearch c\noptions ndots:2 rotate\n")).toEqual({
    servers: ["1.1.1.1"],
    search: ["c"],
    options: ["ndots:2", "rotate"],
  });
  const { mkdtemp, rm, writeFile } = await import("node:fs/promises");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const dir = await mkdtemp(join(tmpdir(), "sup-dns-"));
  await writeFile(join(dir, "r"), "nameserver 127.0.0.53\nsearch lan\n");
  const lines = async (host: object, own: boolean) =>
    (await resolvConfText(makeSpec(host), own, join(dir, "r"))).split("\n").slice(2, -1);
  expect(await lines({}, true)).toEqual(["nameserver 8.8.8.8", "nameserver 8.8.4.4", "search lan"]);
  expect(await lines({}, false)).toEqual(["nameserver 127.0.0.53", "search lan"]);
  expect(await lines({ dns: ["9.9.9.9"], dnsSearch: ["."], dnsOptions: ["ndots:2"] }, true)).toEqual([
    "nameserver 9.9.9.9",
    "options ndots:2",
  ]);
  await rm(dir, { recursive: true });
});
