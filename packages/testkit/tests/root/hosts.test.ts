// The fabric that tests of several hosts stand on: cables that can be pulled, and nothing left of it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Hosts, openHosts, run } from "../../src/index.ts";

let hosts: Hosts;

beforeAll(async () => {
  hosts = await openHosts(3);
});

afterAll(async () => {
  await hosts?.close();
  const left = (await run(["ip", "netns", "list"])).stdout
    .split("\n")
    .filter((line) => line.includes(`-${process.pid}-`));
  expect(left).toEqual([]);
});

const ping = async (from: number, to: number): Promise<boolean> => {
  const address = hosts.all[to]?.address ?? "";
  return (await hosts.all[from]?.run(["busybox", "ping", "-c", "1", "-W", "1", address]))?.code === 0;
};

it("lets hosts reach each other, themselves and the registry", async () => {
  expect(await Promise.all([ping(0, 1), ping(1, 2), ping(2, 0), ping(0, 0)])).toEqual([true, true, true, true]);
  const [host, port] = hosts.registry.split(":");
  const probe = await hosts.all[1]?.run(["bash", "-c", `exec 3<>/dev/tcp/${host}/${port}`]);
  expect(probe?.code).toBe(0);
});

it("cuts one host off, both ways, until it is healed", async () => {
  await hosts.all[1]?.cut();
  expect(await Promise.all([ping(0, 1), ping(1, 0), ping(0, 2), ping(1, 1)])).toEqual([false, false, true, true]);
  await hosts.all[1]?.heal();
  await expect.poll(() => ping(0, 1), { timeout: 10_000 }).toBe(true);
});
