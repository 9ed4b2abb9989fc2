// NATS from three hosts to five and back to three others, under containers that are made all the while.
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let one: Host;
let two: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(5);
  [one, two] = hosts.all as [Host, Host];
  busybox = await hosts.pushBusybox();
  await one.start({ args: ["--advertise", one.address] });
  await two.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor", "gateway"] });
  for (const host of hosts.all.slice(2))
    await host.start({ args: ["--join", await one.token()], services: ["snapshotter", "supervisor"] });
  await two.docker.must(["pull", "-q", busybox]);
  expect(await hosts.berth(one, ["node", "promote", "host2", "host3"])).toBe("NATS runs on host1, host2, host3\n");
}, 240_000);

afterAll(async () => {
  await hosts?.close();
}, 180_000);

it("has NATS on all five, and on three again, while containers are made", async () => {
  const berth = (...words: string[]) => hosts.berth(two, words);
  let stopped = false;
  const made: string[] = [];
  const making = (async () => {
    for (let i = 0; !stopped; i++) made.push(await one.docker.must(["create", "--name", `more-${i}`, busybox]));
  })();
  expect(await berth("node", "promote", "host4", "host5")).toBe("NATS runs on host1, host2, host3, host4, host5\n");
  expect(await berth("node", "demote", "host4", "host1")).toBe("NATS runs on host2, host3, host5\n");
  stopped = true;
  await making;
  expect(made.length).toBeGreaterThan(3);
  const words = "events --since 1h --until 0s --filter event=create --format {{.Actor.Attributes.name}}";
  await eventually("every create is told once", async () => {
    const told = (await two.docker.must(words.split(" "))).split("\n").filter((name) => name.startsWith("more-"));
    expect(told.sort()).toEqual(made.map((_, index) => `more-${index}`).sort());
    return true;
  });
  expect((await two.docker.run(["create", "--name", "more-0", busybox])).stderr).toContain("already in use");
}, 300_000);
