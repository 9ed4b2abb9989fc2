// Three hosts behind two gateways: where containers go, that both gateways say the same, and what is said of a host that is cut off.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let all: readonly Host[];
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(3);
  all = hosts.all;
  busybox = await hosts.pushBusybox();
  const [first, second, third] = all as [Host, Host, Host];
  await first.start({ args: ["--advertise", first.address] });
  await second.start({
    args: ["--join", await first.token()],
    services: ["snapshotter", "supervisor", "gateway"],
    env: { BERTH_NODE_LABELS: "disk=ssd" },
  });
  await third.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
  await first.docker.must(["pull", "-q", busybox]);
  await eventually("three nodes", async () => (await nodes()).length === 3 || undefined);
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

interface Node {
  ID: string;
  Name: string;
  State: string;
  AwaySince?: string;
  Labels: Record<string, string>;
  Reserved: { Containers: number; CPUs: number; Memory: number };
}

async function nodes(host = all[0] as Host): Promise<Node[]> {
  const ids = (await berth(host, ["node", "ls", "-q"])).split("\n").filter(Boolean);
  return JSON.parse(await berth(host, ["node", "inspect", ...ids])) as Node[];
}

const sleeper = (name: string, ...options: string[]) => [
  "run",
  "-d",
  "--name",
  name,
  ...options,
  busybox,
  "sleep",
  "1000",
];
const nodeOf = (host: Host, name: string) =>
  host.docker.must(["inspect", "-f", "{{.Node.Name}}", name]).then((text) => text.trim());

/** What `berth` prints at a host. */
async function berth(host: Host, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await host.berth(args);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** The same command through both gateways. */
async function onBoth(args: readonly string[]): Promise<string> {
  const [a, b] = await Promise.all([all[0]?.docker.must(args), all[1]?.docker.must(args)]);
  expect(b).toBe(a);
  return a ?? "";
}

describe("placement", () => {
  it("spreads over the hosts, and both gateways say the same", async () => {
    for (let i = 0; i < 9; i++) await (all[i % 2] as Host).docker.must(sleeper(`spread-${i}`));
    const places = await Promise.all(Array.from({ length: 9 }, (_, i) => nodeOf(all[0] as Host, `spread-${i}`)));
    expect(places.sort()).toEqual(["host1", "host2", "host3"].flatMap((name) => [name, name, name]));
    await onBoth(["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}"]);
    for (let i = 0; i < 9; i++) await onBoth(["inspect", "-f", "{{.Id}} {{.State.Pid}} {{.Node.Name}}", `spread-${i}`]);
    const id = (await all[0]?.docker.must(["ps", "-q", "-f", "name=spread-5"]))?.trim() ?? "";
    expect(await onBoth(["inspect", "-f", "{{.Name}}", id.slice(0, 8)])).toBe("/spread-5\n");
    await all[1]?.docker.must(["rm", "-f", ...Array.from({ length: 9 }, (_, i) => `spread-${i}`)]);
    expect(await onBoth(["ps", "-aq"])).toBe("");
  });

  it("goes by what is reserved before it goes by numbers", async () => {
    const [first] = all as [Host];
    await first.docker.must(sleeper("big", "--cpus", "1", "-l", "berth.node=host1"));
    await first.docker.must(sleeper("small-1", "--cpus", "0.1"));
    await first.docker.must(sleeper("small-2", "--cpus", "0.1"));
    await first.docker.must(sleeper("small-3", "--cpus", "0.1"));
    const places = await Promise.all(["small-1", "small-2", "small-3"].map((name) => nodeOf(first, name)));
    expect(places).not.toContain("host1");
    await first.docker.must(["rm", "-f", "big", "small-1", "small-2", "small-3"]);
  });

  it("obeys labels: node, constraint and affinity", async () => {
    const [first, second] = all as [Host, Host];
    await first.docker.must(sleeper("named", "-l", "berth.node=host3"));
    await second.docker.must(sleeper("fast", "-l", "berth.constraint=node.labels.disk==ssd"));
    await second.docker.must(sleeper("near", "-l", "berth.affinity=container==named"));
    await first.docker.must(sleeper("far", "-l", "berth.affinity=container!=named,container!=fast"));
    await first.docker.must(sleeper("joined", "--network", "container:fast"));
    expect(await Promise.all(["named", "fast", "near", "far", "joined"].map((name) => nodeOf(first, name)))).toEqual([
      "host3",
      "host2",
      "host3",
      "host1",
      "host2",
    ]);
    const nowhere = await first.docker.run(["create", "-l", "berth.node=host9", busybox]);
    expect(nowhere.stderr).toContain("no suitable node (constraints not satisfied on 3 nodes)");
    expect(nowhere.code).toBe(1);
    await first.docker.must(["rm", "-f", "named", "fast", "near", "far", "joined"]);
  });

  it("follows a volume to its node", async () => {
    const [first, second] = all as [Host, Host];
    await first.docker.must([
      "run",
      "--rm",
      "-l",
      "berth.node=host2",
      "-v",
      "data:/d",
      busybox,
      "sh",
      "-c",
      "echo here > /d/f",
    ]);
    for (const host of [first, second])
      expect(await host.docker.must(["run", "--rm", "-v", "data:/d", busybox, "cat", "/d/f"])).toBe("here\n");
    await first.docker.must(["volume", "create", "data"]);
    expect(await onBoth(["volume", "ls", "-q"])).toBe("data\n");
    await second.docker.must(["volume", "rm", "data"]);
  });

  it("gives a name to one container of all hosts, however many ask at once", async () => {
    const tries = await Promise.all(
      Array.from({ length: 12 }, (_, i) => (all[i % 2] as Host).docker.run(["create", "--name", "wanted", busybox])),
    );
    expect(tries.filter(({ code }) => code === 0)).toHaveLength(1);
    for (const { stderr } of tries.filter(({ code }) => code !== 0))
      expect(stderr).toContain('The container name "/wanted" is already in use by container');
    expect((await onBoth(["ps", "-aq"])).split("\n").filter(Boolean)).toHaveLength(1);
    await all[1]?.docker.must(["rm", "wanted"]);
  });
});

describe("nodes", () => {
  it("are listed, labelled, drained and activated", async () => {
    const [first] = all as [Host];
    expect((await nodes()).map(({ Name, State, Labels }) => [Name, State, Labels])).toEqual([
      ["host1", "ready", {}],
      ["host2", "ready", { disk: "ssd" }],
      ["host3", "ready", {}],
    ]);
    await berth(first, ["node", "update", "--label-add", "zone=north", "--label-add", "disk=hdd", "host3"]);
    await berth(first, ["node", "update", "--label-rm", "zone", "host3"]);
    expect(JSON.parse(await berth(first, ["node", "inspect", "host3"]))).toMatchObject([{ Labels: { disk: "hdd" } }]);
    await berth(first, ["node", "drain", "host1", "host2"]);
    await first.docker.must(sleeper("only"));
    expect(await nodeOf(first, "only")).toBe("host3");
    await berth(first, ["node", "drain", "--no-move", "host3"]);
    expect((await first.docker.run(["create", busybox])).stderr).toContain(
      "no suitable node (node is drained on 3 nodes)",
    );
    await berth(first, ["node", "activate", "host1", "host2", "host3"]);
    await first.docker.must(["rm", "-f", "only"]);
    await expect(berth(first, ["node", "rm", "host3"])).rejects.toThrow("node host3 is there");
    await expect(berth(first, ["node", "inspect", "host9"])).rejects.toThrow("No such");
  });

  it("are told of by docker info, with totals", async () => {
    const info = JSON.parse(await onBoth(["info", "--format", "{{json .DriverStatus}}"])) as [string, string][];
    expect(info).toContainEqual(["Nodes", "3"]);
    for (const name of ["host1", "host2", "host3"])
      expect(info.find(([key]) => key.trim() === name)?.[1]).toMatch(
        /^ready, \d+ containers? \(\d+ running\), \d+ CPUs, .* GiB/,
      );
    const cpus = Number(await onBoth(["info", "--format", "{{.NCPU}}"]));
    const own = JSON.parse(await berth(all[0] as Host, ["node", "inspect", "host1"])) as { CPUs: number }[];
    expect(cpus).toBe(3 * (own[0]?.CPUs ?? 0));
  });
});

describe("a host that is cut off", () => {
  it("has its containers shown as unreachable, keeps them going, and is right again when it is back", async () => {
    const [first, second, third] = all as [Host, Host, Host];
    const script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done";
    await first.docker.must(["run", "-d", "--name", "cut", "-l", "berth.node=host3", busybox, "sh", "-c", script]);
    await first.docker.must(sleeper("stays", "-l", "berth.node=host2"));
    await third.cut();
    for (const host of [first, second])
      await eventually(
        "it is shown as unreachable",
        async () =>
          (await host.docker.must(["ps", "--format", "{{.Names}} {{.State}}"])).includes("cut unreachable") ||
          undefined,
        10_000,
      );
    await onBoth(["ps", "-f", "name=cut", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}}"]);
    const [node] = (await nodes(second)).filter(({ Name }) => Name === "host3");
    expect(node).toMatchObject({ State: "away", AwaySince: expect.stringMatching(/^20.*Z$/) });
    const error = await onBoth(["inspect", "-f", "{{.State.Status}} {{.State.Error}} {{.Config.Image}}", "cut"]);
    expect(error).toBe(`unreachable node host3 is unreachable since ${node?.AwaySince} ${busybox}\n`);
    const stopped = await first.docker.run(["stop", "cut"]);
    expect(stopped.stderr).toContain("is on node host3, which is unreachable since");
    // The others go on.
    await second.docker.must(["exec", "stays", "true"]);
    await first.docker.must(["run", "--rm", busybox, "true"]);
    expect((await first.docker.run(["create", "--name", "cut", busybox])).stderr).toContain("already in use");
    await third.heal();
    for (const host of [first, second])
      await eventually(
        "it is shown as running",
        async () =>
          (await host.docker.must(["ps", "--format", "{{.Names}} {{.State}}"])).includes("cut running") || undefined,
        10_000,
      );
    const lines = (await second.docker.must(["logs", "cut"])).split("\n").filter(Boolean);
    expect(lines).toEqual(lines.map((_, i) => `line ${i + 1}`));
    // It went on writing all the while.
    expect(lines.length).toBeGreaterThan(20);
    await eventually(
      "nobody is away",
      async () => (await nodes()).every(({ State }) => State === "ready") || undefined,
    );
    await first.docker.must(["rm", "-f", "cut", "stays"]);
  }, 120_000);

  it("can be forgotten, with the names of its containers", async () => {
    const [first, second, third] = all as [Host, Host, Host];
    await first.docker.must(sleeper("lost", "-l", "berth.node=host3"));
    await third.docker.run(["version"]);
    await third.cut();
    await eventually(
      "it is away",
      async () => (await nodes()).some(({ State }) => State === "away") || undefined,
      10_000,
    );
    await berth(first, ["node", "rm", "host3"]);
    expect((await nodes(second)).map(({ Name }) => Name)).toEqual(["host1", "host2"]);
    await eventually(
      "the name is free",
      async () => (await first.docker.run(["create", "--name", "lost", busybox])).code === 0 || undefined,
    );
    await first.docker.must(["rm", "lost"]);
    await third.heal();
    // It was shut out; with a new token it may come again, and what it still runs is seen.
    await third.stop();
    await third.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
    await eventually(
      "its container is back",
      async () => (await first.docker.must(["ps", "-q"])) !== "" || undefined,
      20_000,
    );
    await first.docker.must(["rm", "-f", "lost"]);
  }, 120_000);
});
