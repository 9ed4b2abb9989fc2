// Five hosts, NATS on three of them, two gateways, sixty containers: every command finds a container wherever it is, by name, id and prefix, and both
// gateways answer alike.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Api, ended, eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

const count = 60;
let hosts: Hosts;
let all: readonly Host[];
let one: Host;
let two: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(5);
  all = hosts.all;
  [one, two] = all as [Host, Host];
  busybox = await hosts.pushBusybox();
  await one.start({ args: ["--advertise", one.address] });
  await two.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor", "gateway"] });
  for (const host of all.slice(2))
    await host.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor"] });
  await two.docker.must(["pull", "-q", busybox]);
  await eventually("five nodes", async () => (await nodeNames()).length === 5 || undefined, 20_000);
  expect(await hosts.berth(one, ["node", "promote", "host2", "host3"])).toBe("NATS runs on host1, host2, host3\n");
}, 600_000);

afterAll(async () => {
  await hosts?.close();
}, 180_000);

async function nodeNames(): Promise<string[]> {
  return (await two.berth(["node", "ls", "--format", "{{.Name}}"])).stdout.split("\n").filter(Boolean);
}

/** The same command through both gateways. */
async function onBoth(args: readonly string[]): Promise<string> {
  const [a, b] = await Promise.all([one.docker.run(args), two.docker.run(args)]);
  expect(b).toEqual(a);
  return a.stdout;
}

const name = (index: number) => `c${index}`;
const percentile = (times: readonly number[], share: number) =>
  (times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(1);

it(`spreads ${count} containers evenly, made through two gateways at once`, async () => {
  const script = "echo out of $HOSTNAME; echo err >&2; mkdir /made; echo kept > /made/file; exec sleep 1000";
  const times: number[] = [];
  const worker = async (host: Host, indices: readonly number[]) => {
    const api = new Api(host.docker.socket);
    for (const index of indices) {
      const body = { Image: busybox, Cmd: ["sh", "-c", script], Hostname: name(index), Labels: { test: "five" } };
      const began = performance.now();
      const made = await api.call("POST", `/containers/create?name=${name(index)}`, body);
      times.push(performance.now() - began);
      expect(made.status).toBe(201);
      expect((await api.call("POST", `/containers/${name(index)}/start`)).status).toBe(204);
    }
    api.close();
  };
  const indices = Array.from({ length: count }, (_, index) => index);
  const workers = [one, two, one, two].map((host, n) =>
    worker(
      host,
      indices.filter((index) => index % 4 === n),
    ),
  );
  await Promise.all(workers);
  times.sort((a, b) => a - b);
  console.log(`create over five hosts: p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms`);
  const places = await Promise.all(
    indices.map((index) => one.docker.must(["inspect", "-f", "{{.Node.Name}}", name(index)])),
  );
  const perNode = all.map((host) => places.filter((place) => place.trim() === host.name).length);
  // Two gateways choose at the same time: each knows of the other's choice a moment later.
  for (const number of perNode) expect(number, perNode.join()).toBeGreaterThanOrEqual(count / 5 - 5);
  for (const number of perNode) expect(number, perNode.join()).toBeLessThanOrEqual(count / 5 + 5);
}, 120_000);

describe("every command, through both gateways", () => {
  it("lists", async () => {
    const listed = await onBoth([
      "ps",
      "-a",
      "--no-trunc",
      "--format",
      "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}}",
    ]);
    expect(listed.split("\n").filter(Boolean)).toHaveLength(count);
    expect((await onBoth(["ps", "-q", "-f", "name=^c1$"])).split("\n").filter(Boolean)).toHaveLength(1);
    expect((await onBoth(["ps", "-q", "-n", "7"])).split("\n").filter(Boolean)).toHaveLength(7);
  });

  it("finds each by name, id and prefix: inspect, logs, exec, top, diff, port, cp out", async () => {
    for (const index of [0, 7, 14, 21, 28, 35, 42, 49, 56]) {
      const id = (await onBoth(["inspect", "-f", "{{.Id}}", name(index)])).trim();
      for (const reference of [name(index), id, id.slice(0, 12)]) {
        expect(await onBoth(["inspect", "-f", "{{.Name}}", reference])).toBe(`/${name(index)}\n`);
        expect(await onBoth(["logs", reference])).toBe(`out of ${name(index)}\n`);
        expect(await onBoth(["exec", reference, "cat", "/made/file"])).toBe("kept\n");
      }
      expect(await onBoth(["top", name(index), "-o", "pid,args"])).toContain("sleep 1000");
      expect(await onBoth(["diff", name(index)])).toContain("A /made/file");
      expect(await onBoth(["port", name(index)])).toBe("");
      expect((await onBoth(["cp", `${name(index)}:/made/file`, "-"])).length).toBeGreaterThan(1024);
    }
    expect(await onBoth(["inspect", "-f", "x", "nobody"])).toBe("\n");
  }, 120_000);

  it("copies in through one, and reads through the other", async () => {
    const dir = join(hosts.work, "in");
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "f"), "written\n");
    await one.docker.must(["cp", join(dir, "f"), "c9:/made/in"]);
    await two.docker.must(["cp", "c9:/made/in", join(dir, "back")]);
    expect(await readFile(join(dir, "back"), "utf8")).toBe("written\n");
  });

  it("reads stats", async () => {
    const lines = (host: Host) =>
      host.docker
        .must(["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}"])
        .then((text) => text.split("\n").filter(Boolean).sort());
    const [a, b] = await Promise.all([lines(one), lines(two)]);
    expect(a).toEqual(b);
    expect(a).toHaveLength(count);
  });

  it("attaches, waits and kills across gateways", async () => {
    for (const [near, far] of [
      [one, two],
      [two, one],
    ] as const) {
      await near.docker.must([
        "run",
        "-di",
        "--name",
        "talk",
        busybox,
        "sh",
        "-c",
        "while read l; do [ $l = bye ] && exit 4; echo got $l; done",
      ]);
      const attached = far.docker.start(["attach", "talk"]);
      let said = "";
      attached.stdout.on("data", (data: Buffer) => {
        said += data.toString();
      });
      const waiting = near.docker.run(["wait", "talk"]);
      attached.stdin.write("hello\n");
      await eventually("it answers", () => said.includes("got hello") || undefined);
      attached.stdin.write("bye\n");
      expect(await ended(attached)).toEqual([4, null]);
      expect((await waiting).stdout).toBe("4\n");
      await far.docker.must(["rm", "talk"]);
    }
    const waiting = two.docker.run(["wait", "c11"]);
    await one.docker.must(["exec", "c11", "true"]);
    await one.docker.must(["kill", "c11"]);
    expect((await waiting).stdout).toBe("137\n");
  });

  it("tells of the same events in the same order", async () => {
    const now = Math.floor(Date.now() / 1000) + 1;
    const args = [
      "events",
      "--since",
      "0",
      "--until",
      String(now),
      "-f",
      "label=test=five",
      "--format",
      "{{.TimeNano}} {{.Action}} {{.Actor.ID}}",
    ];
    const told = (await onBoth(args)).split("\n").filter(Boolean);
    for (const action of ["create", "start"])
      expect(told.filter((line) => line.split(" ")[1] === action)).toHaveLength(count);
    expect(new Set(told).size).toBe(told.length);
  });

  it("stops, starts, pauses, renames and removes through one what the other shows", async () => {
    await two.docker.must(["stop", "-t", "0", "c20", "c21", "c22"]);
    expect(
      await onBoth(["ps", "-aq", "-f", "status=exited", "-f", "name=c2[0-2]"]).then((text) =>
        text.split("\n").filter(Boolean),
      ),
    ).toHaveLength(3);
    await one.docker.must(["start", "c20"]);
    await two.docker.must(["pause", "c20"]);
    expect(await onBoth(["inspect", "-f", "{{.State.Status}}", "c20"])).toBe("paused\n");
    await one.docker.must(["unpause", "c20"]);
    await two.docker.must(["rename", "c20", "other"]);
    expect(await one.docker.must(["exec", "other", "hostname"])).toBe("c20\n");
    await one.docker.must(["rm", "-f", "other"]);
    await eventually("both know", async () => (await onBoth(["ps", "-aq", "-f", "name=other"])) === "" || undefined);
    const names = Array.from({ length: count }, (_, index) => name(index)).filter((each) => each !== "c20");
    const half = Math.floor(names.length / 2);
    await Promise.all([
      one.docker.must(["rm", "-f", ...names.slice(0, half)], { timeoutMs: 60_000 }),
      two.docker.must(["rm", "-f", ...names.slice(half)], { timeoutMs: 60_000 }),
    ]);
    expect(await onBoth(["ps", "-aq"])).toBe("");
  }, 120_000);
});
