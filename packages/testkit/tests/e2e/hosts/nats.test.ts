// NATS on one host, on three, and back again, under containers that are made all the while: what was said stays said, once.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let all: readonly Host[];
let first: Host;
let second: Host;
let third: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(3);
  all = hosts.all;
  [first, second, third] = all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await first.start({ args: ["--advertise", first.address] });
  const services = ["snapshotter", "supervisor", "gateway"];
  await second.start({ args: ["--join", await first.token()], services });
  await third.start({ args: ["--join", await first.token()], services });
  await first.docker.must(["pull", "-q", busybox]);
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

/** What `berth` prints at a host. */
const berth = (host: Host, ...args: string[]): Promise<string> => hosts.berth(host, args);

/** What each host's NATS server is, by the order of their names. */
async function roles(host: Host): Promise<string[]> {
  return (await berth(host, "node", "ls", "--format", "{{.NATS}}")).split("\n").slice(0, -1);
}

/** Names of containers by their create events, in order: those of one host come as they happened, hosts among each other do not. */
async function created(host: Host): Promise<string[]> {
  const words = "events --since 1h --until 0s --filter event=create --format {{.Actor.Attributes.name}}";
  return (await host.docker.must(words.split(" "))).split("\n").filter(Boolean).sort();
}

/** Creates containers by two gateways until it is stopped; the same name is tried by both. */
function load(prefix: string, gateways: readonly Host[]) {
  const made: string[] = [];
  let longest = 0;
  let last = performance.now();
  let stopped = false;
  const loop = async () => {
    for (let i = 0; !stopped; i++) {
      const name = `${prefix}-${i}`;
      const tries = await Promise.all(gateways.map((host) => host.docker.run(["create", "--name", name, busybox])));
      const won = tries.filter(({ code }) => code === 0).length;
      expect(won, `${name} was given away ${won} times`).toBeLessThanOrEqual(1);
      if (won === 0) continue;
      made.push(name);
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
  };
  const running = loop();
  return {
    made,
    stop: async () => {
      stopped = true;
      await running;
      return longest;
    },
  };
}

describe("a server that was alone", () => {
  it("gets two others, and keeps what it was told", async () => {
    await first.docker.must(["create", "--name", "older", busybox]);
    expect((await first.berth(["node", "promote", "host2"])).stderr).toContain("NATS would run on 2 nodes");
    const running = load("grow", [first, second]);
    await eventually("some are there", () => running.made.length > 2 || undefined);
    expect(await berth(first, "node", "promote", "host2", "host3")).toBe("NATS runs on host1, host2, host3\n");
    expect((await roles(second)).sort()).toEqual(["follower", "follower", "leader"]);
    const count = running.made.length;
    await eventually("it goes on", () => running.made.length > count + 2 || undefined, 20_000);
    const longest = await running.stop();
    console.log(`the longest pause was ${Math.round(longest)} ms`);
    expect((await first.docker.run(["create", "--name", "older", busybox])).stderr).toContain("already in use");
    await eventually("every create is told once", async () => {
      expect(await created(third)).toEqual(["older", ...running.made].sort());
      return true;
    });
  }, 200_000);
});

describe("three servers", () => {
  it.each(["host2", "host3", "host1"])(
    "outlast the end of that of %s",
    async (name) => {
      const victim = all.find((host) => host.name === name) as Host;
      const before = await created(second);
      const running = load(`kill-${name}`, [first, second]);
      await eventually("some are there", () => running.made.length > 1 || undefined, 20_000);
      victim.engine.kill("nats");
      const count = running.made.length;
      await eventually("it goes on", () => running.made.length > count + 3 || undefined, 30_000);
      console.log(`the longest pause was ${Math.round(await running.stop())} ms`);
      await eventually(
        "every create is told once",
        async () => {
          expect(await created(third)).toEqual([...before, ...running.made].sort());
          return true;
        },
        20_000,
      );
    },
    120_000,
  );
});

describe("a host that is lost", () => {
  it("is replaced: demoted by force, and promoted when it is back", async () => {
    await first.docker.must(["create", "--name", "witness", busybox]);
    await third.stop();
    await eventually("it is seen", async () => (await roles(first))[2] === "away" || undefined, 30_000);
    expect((await first.berth(["node", "demote", "host2", "host3"])).stderr).toContain(
      "the NATS server of host3 is away; if it does not come back, demote it with --force",
    );
    const { stdout, stderr } = await first.berth(["node", "demote", "--force", "host3"], { timeoutMs: 120_000 });
    expect({ stdout, stderr: stderr.split("\n")[0] }).toEqual({
      stdout: "NATS runs on host1, host2\n",
      stderr: "Leaving host3",
    });
    await third.start();
    expect(await berth(first, "node", "promote", "host3")).toBe("NATS runs on host1, host2, host3\n");
    expect((await third.docker.run(["create", "--name", "witness", busybox])).stderr).toContain("already in use");
  }, 200_000);
});

describe("one server again", () => {
  it("has what three had", async () => {
    const running = load("shrink", [second, third]);
    await eventually("some are there", () => running.made.length > 1 || undefined, 20_000);
    const before = await created(second);
    expect(await berth(second, "node", "demote", "host3", "host2")).toBe("NATS runs on host1\n");
    const count = running.made.length;
    await eventually("it goes on", () => running.made.length > count + 2 || undefined, 30_000);
    console.log(`the longest pause was ${Math.round(await running.stop())} ms`);
    expect(await roles(first)).toEqual(["leader", "", ""]);
    await eventually(
      "every create is told once",
      async () => {
        expect(await created(third)).toEqual(
          [...before, ...running.made.filter((name) => !before.includes(name))].sort(),
        );
        return true;
      },
      20_000,
    );
  }, 200_000);

  it("is found again by all after a restart of everything", async () => {
    const names = await created(first);
    for (const host of [third, second, first]) await host.stop();
    for (const host of all) await host.start();
    await eventually("all are there", async () => {
      expect(await created(third)).toEqual(names);
      return true;
    });
    expect((await second.docker.run(["create", "--name", "older", busybox])).stderr).toContain("already in use");
  }, 120_000);
});
