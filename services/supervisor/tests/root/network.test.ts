// The default bridge, in a network namespace of the test's own with an outside world beyond a veth pair.

import { createNetns, eventually, must, type NetworkNamespace, run } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { execToEnd, failure, Node, parentOf, runToEnd } from "./harness.ts";

let node: Node;
let outside: NetworkNamespace;
beforeAll(async () => {
  node = await Node.open();
  outside = await createNetns(`${node.netns.name}-out`);
  const ip = (...args: string[]) => must(["ip", "-n", node.netns.name, ...args]);
  await ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan1", "netns", outside.name);
  await ip("addr", "add", "192.0.2.1/24", "dev", "wan0");
  await ip("link", "set", "wan0", "up");
  await must(["ip", "-n", outside.name, "addr", "add", "192.0.2.2/24", "dev", "wan1"]);
  await must(["ip", "-n", outside.name, "link", "set", "wan1", "up"]);
});
afterAll(async () => {
  await node.close();
  await outside.remove();
});

const bridge = { networkMode: "bridge" };
/** An HTTP request by a shell: busybox's wget, linked statically, crashes where it wants name services. */
const request = (address: string, port: number) =>
  `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${address} ${port} | tail -1`;
const fetch = (from: readonly string[], address: string, port: number) =>
  run([...from, "busybox", "sh", "-c", request(address, port)], { timeoutMs: 5_000 });
const httpd = (port: number, text: string) => [
  "sh",
  "-c",
  `mkdir /w; echo ${text} > /w/index.html; exec httpd -f -p ${port} -h /w`,
];

async function runServer(host: object, name = "", text = "hello") {
  const { id } = await node.supervisor.create({
    name,
    spec: node.spec(httpd(80, text), { exposedPorts: ["80/tcp"] }, { ...bridge, ...host }),
  });
  await node.supervisor.start({ container: id });
  const { container } = await node.supervisor.inspect({ container: id });
  return { id, address: container?.endpoints[0]?.ipAddress ?? "", container };
}

const serves = (from: readonly string[], address: string, port: number) =>
  eventually(`${address}:${port} answers`, async () => {
    const { stdout } = await fetch(from, address, port);
    if (stdout !== "hello\n") throw new Error(`got ${JSON.stringify(stdout)}`);
    return true;
  });

test("address, gateway, names files", async () => {
  const { out } = await runToEnd(
    node,
    ["sh", "-c", "ip -o -4 addr show eth0 | awk '{print $4}'; ip route; cat /etc/hosts; cat /etc/hostname"],
    { hostname: "web" },
    { ...bridge, extraHosts: ["x:1.2.3.4", "gw:host-gateway"] },
  );
  expect(out).toMatch(/^172\.17\.0\.\d+\/16\ndefault via 172\.17\.0\.1 dev eth0/);
  expect(out).toMatch(/127\.0\.0\.1\tlocalhost\n.*1\.2\.3\.4\tx\n172\.17\.0\.1\tgw\n172\.17\.0\.\d+\tweb\nweb\n$/s);
  expect(
    (
      await runToEnd(
        node,
        ["cat", "/etc/resolv.conf"],
        {},
        { ...bridge, dns: ["9.9.9.9"], dnsSearch: ["a.b"], dnsOptions: ["ndots:2"] },
      )
    ).out,
  ).toMatch(/nameserver 9\.9\.9\.9\nsearch a\.b\noptions ndots:2\n$/);
});

test("containers reach each other, the host and the world, which sees the host's address", async () => {
  const { id, address } = await runServer({});
  await serves(node.enter, address, 80);
  expect((await runToEnd(node, ["sh", "-c", request(address, 80)], {}, bridge)).out).toBe("hello\n");
  const ping = await runToEnd(node, ["ping", "-c", "1", "-W", "2", "192.0.2.2"], {}, bridge);
  expect(ping.out).toMatch(/1 packets received/);
  // The other way is closed: nothing was published.
  await must(["ip", "-n", outside.name, "route", "add", "172.17.0.0/16", "via", "192.0.2.1"]);
  expect((await fetch(outside.enter, address, 80)).stdout).toBe("");
  await node.supervisor.remove({ container: id, force: true });
});

test("published ports: from outside, from the host, by 127.0.0.1, from other containers", async () => {
  const binding = (hostIp: string, hostPort: string) => ({
    portBindings: [{ containerPort: "80/tcp", hostIp, hostPort }],
  });
  const all = await runServer(binding("", "8080"));
  expect(all.container?.ports).toEqual([
    { containerPort: "80/tcp", hostIp: "0.0.0.0", hostPort: 8080 },
    { containerPort: "80/tcp", hostIp: "::", hostPort: 8080 },
  ]);
  await serves(node.enter, "::1", 8080);
  await serves(outside.enter, "192.0.2.1", 8080);
  await serves(node.enter, "192.0.2.1", 8080);
  await serves(node.enter, "127.0.0.1", 8080);
  expect((await runToEnd(node, ["sh", "-c", request("192.0.2.1", 8080)], {}, bridge)).out).toBe("hello\n");
  // Its own, by way of the host: where bridged packets pass the firewall (br_netfilter) they go back out of the same port.
  const itself = { cmd: ["sh", "-c", request("192.0.2.1", 8080)] };
  expect((await execToEnd(node, all.id, itself)).out).toBe("hello\n");
  const taken = await node.supervisor.create({
    name: "late",
    spec: node.spec(httpd(80, "x"), { exposedPorts: ["80/tcp"] }, { ...bridge, ...binding("", "8080") }),
  });
  expect((await failure(node.supervisor.start({ container: taken.id }))).message).toMatch(
    /^failed to set up container networking: driver failed programming external connectivity on endpoint late \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/,
  );
  await node.supervisor.remove({ container: all.id, force: true });
  await node.supervisor.start({ container: taken.id });
  await node.supervisor.remove({ container: taken.id, force: true });
  // Only on the address asked for.
  const local = await runServer(binding("127.0.0.1", ""));
  const port = local.container?.ports[0]?.hostPort ?? 0;
  expect(port).toBeGreaterThan(1024);
  await serves(node.enter, "127.0.0.1", port);
  expect((await fetch(outside.enter, "192.0.2.1", port)).stdout).toBe("");
  await node.supervisor.remove({ container: local.id, force: true });
});

test("a restart of the supervisor keeps ports, and the last container takes bridge and table with it", async () => {
  const server = await runServer({
    portBindings: [{ containerPort: "80/tcp", hostIp: "", hostPort: "8081" }],
    publishAllPorts: false,
  });
  await serves(node.enter, "127.0.0.1", 8081);
  await node.end("supervisor", "SIGKILL");
  await serves(outside.enter, "192.0.2.1", 8081);
  node.startService("supervisor");
  await node.serving();
  await serves(outside.enter, "192.0.2.1", 8081);
  await serves(node.enter, "::1", 8081);
  const other = await node.supervisor.create({
    spec: node.spec(
      ["sleep", "9"],
      { exposedPorts: ["80/tcp"] },
      { ...bridge, portBindings: [{ containerPort: "80/tcp", hostIp: "", hostPort: "8081" }] },
    ),
  });
  expect((await failure(node.supervisor.start({ container: other.id }))).message).toMatch(/port is already allocated/);
  // Addresses of what runs are not given to others.
  await node.supervisor.remove({ container: other.id });
  const second = await runServer({});
  expect(second.address).not.toBe(server.address);
  expect(second.address).toMatch(/^172\.17\./);
  await node.supervisor.remove({ container: second.id, force: true });
  await node.end("supervisor", "SIGTERM");
  expect((await run([...node.enter, "nft", "list", "tables"])).stdout).toMatch(/inet berth/);
  node.startService("supervisor");
  await node.serving();
  await node.supervisor.remove({ container: server.id, force: true });
  await node.end("supervisor", "SIGTERM");
  expect((await run([...node.enter, "nft", "list", "tables"])).stdout).toBe("");
  expect((await run(["ip", "-n", node.netns.name, "-o", "link"])).stdout).not.toMatch(/berth0|veth/);
  node.startService("supervisor");
  await node.serving();
});

test("a bridge that a killed supervisor left goes with the next one, when nothing runs on it", async () => {
  await runToEnd(node, ["true"], {}, bridge);
  await node.end("supervisor", "SIGKILL");
  expect((await run(["ip", "-n", node.netns.name, "-o", "link"])).stdout).toMatch(/berth0/);
  node.startService("supervisor");
  await node.serving();
  await node.end("supervisor", "SIGTERM");
  expect((await run(["ip", "-n", node.netns.name, "-o", "link"])).stdout).not.toMatch(/berth0/);
  expect((await run([...node.enter, "nft", "list", "tables"])).stdout).toBe("");
  node.startService("supervisor");
  await node.serving();
});

test("a port whose container died with its supervisor is free for another's, at another address", async () => {
  const publish = (hostPort: string) => ({ portBindings: [{ containerPort: "80/tcp", hostIp: "", hostPort }] });
  const dead = await runServer(publish("8090"));
  await node.end("supervisor", "SIGKILL");
  process.kill(await parentOf(dead.container?.state?.pid ?? 0), "SIGKILL");
  node.startService("supervisor");
  await node.serving();
  // Takes the address that the dead one had.
  const between = await runServer({});
  const next = await runServer(publish("8090"));
  expect(next.address).not.toBe(dead.address);
  await serves(outside.enter, "192.0.2.1", 8090);
  for (const { id } of [dead, between, next]) await node.supervisor.remove({ container: id, force: true });
});
