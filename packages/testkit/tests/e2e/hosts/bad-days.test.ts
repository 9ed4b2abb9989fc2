// What goes wrong on one of three hosts stays there, is said clearly, and leaves nothing half-made: a full disk, half a network, a death.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type Hosts, must, openHosts, type RunResult } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let third: Host;
let busybox: string;

/** The first of the ports that a host uses (packages/identity, layout.ts). */
const basePort = 7600;
const natsPort = basePort + 1;
const supervisorPort = basePort + 7;

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, second, third] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await mkdir(third.root, { recursive: true });
  await must(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", third.root]);
  await first.start({ args: ["--advertise", first.address] });
  await second.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor", "gateway"] });
  await third.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
  await first.docker.must(["pull", "-q", busybox]);
  await eventually(
    "three nodes",
    async () => (await first.berth(["node", "ls", "-q"])).stdout.split("\n").length === 4 || undefined,
  );
  for (const host of hosts.all) await first.docker.must(sleeper(`on-${host.name}`, host));
}, 180_000);

afterEach(async () => {
  await second.run(["nft", "delete table inet bad"]);
});

afterAll(async () => {
  await first.docker.run(["rm", "-f", ...(await names(first))], { timeoutMs: 60_000 });
  await third.stop();
  await must(["umount", third.root]);
  await hosts.close();
}, 120_000);

const sleeper = (name: string, on: Host) => [
  "run",
  "-d",
  "--name",
  name,
  "-l",
  `berth.node=${on.name}`,
  busybox,
  "sleep",
  "10000",
];

async function names(at: Host): Promise<string[]> {
  return (await at.docker.must(["ps", "-a", "--format", "{{.Names}}"])).split("\n").filter(Boolean).sort();
}

/** name state, of all. */
async function states(at: Host): Promise<string[]> {
  return (await at.docker.must(["ps", "-a", "--format", "{{.Names}} {{.State}}"])).split("\n").filter(Boolean).sort();
}

const allRun = ["on-host1 running", "on-host2 running", "on-host3 running"];

const untilAllRun = (at: Host) =>
  eventually(
    `all are right at ${at.name}`,
    async () => {
      expect(await states(at)).toEqual(allRun);
      return true;
    },
    15_000,
    250,
  );

/** Drops what a host sends to these ports, of one other host or of all. */
async function drop(from: Host, port: number, to?: Host): Promise<void> {
  const where = to === undefined ? "" : `ip daddr ${to.address} `;
  const rules = [
    "add table inet bad",
    "add chain inet bad out { type filter hook output priority 0; }",
    `add rule inet bad out ${where}tcp dport ${port} drop`,
  ];
  await must([...from.netns.enter, "nft", rules.join("; ")]);
}

const heal = (from: Host) => must([...from.netns.enter, "nft", "delete table inet bad"]);

describe("a gateway that is cut from NATS", () => {
  it("goes on with what there is, says what it can't do, and is right again when NATS is back", async () => {
    await drop(second, natsPort);
    // Longer than it takes to be counted out.
    await eventually(
      "the others miss it",
      async () => (await states(first)).includes("on-host2 unreachable") || undefined,
      15_000,
    );
    for (const host of hosts.all)
      expect(await second.docker.must(["exec", `on-${host.name}`, "echo", host.name])).toBe(`${host.name}\n`);
    expect(await states(second)).toEqual(allRun);
    const refused = await second.docker.run(["create", "--name", "made-in-the-dark", busybox]);
    expect(refused.stderr).toContain("NATS");
    expect(refused.code).toBe(1);
    // The others go on.
    await first.docker.must(["run", "--rm", busybox, "true"]);
    await heal(second);
    await Promise.all([untilAllRun(first), untilAllRun(second)]);
    await second.docker.must(["run", "--rm", "--name", "made-in-the-dark", busybox, "true"]);
    // What happened meanwhile is told, once.
    const words = `events --since 5m --until 0s --filter container=on-host2 --filter event=exec_die --format {{.ID}}`;
    await eventually("its events have come", async () => {
      const told = (await first.docker.must(words.split(" "))).split("\n").filter(Boolean);
      expect(told).toHaveLength(1);
      return true;
    });
  }, 120_000);
});

describe("a gateway that is cut from a node, but not from NATS", () => {
  it("says so within its time, and does all the rest", async () => {
    await drop(second, supervisorPort, third);
    const began = performance.now();
    const refused = await second.docker.run(["exec", "on-host3", "true"], { timeoutMs: 60_000 });
    expect(performance.now() - began).toBeLessThan(45_000);
    expect(refused.code, refused.stderr).toBe(1);
    expect(refused.stderr).toMatch(/[Ss]upervisor/);
    expect(await second.docker.must(["exec", "on-host1", "echo", "fine"])).toBe("fine\n");
    expect(await second.docker.must(["exec", "on-host2", "echo", "fine"])).toBe("fine\n");
    expect(await first.docker.must(["exec", "on-host3", "echo", "fine"])).toBe("fine\n");
    const seen = await second.docker.run(["ps", "-a"], { timeoutMs: 60_000 });
    expect(seen.code === 0 ? seen.stdout : seen.stderr).toMatch(/on-host3|[Ss]upervisor/);
    await heal(second);
    await untilAllRun(second);
    expect(await second.docker.must(["exec", "on-host3", "echo", "fine"])).toBe("fine\n");
  }, 180_000);
});

describe("a node that dies in the middle of creating containers", () => {
  it("leaves each name with a container that is whole, or free", async () => {
    const wanted = Array.from({ length: 24 }, (_, index) => `torn-${index}`);
    const place = ["-l", `berth.node=${third.name}`];
    const create = (name: string) => first.docker.run(["create", "--name", name, ...place, busybox, "echo", name]);
    const tries: Promise<RunResult>[] = wanted.map(create);
    await Promise.race(tries);
    await third.crash();
    const answers = await Promise.all(tries);
    for (const { code, stderr } of answers.filter(({ code }) => code !== 0)) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/Error response from daemon: .+/);
    }
    await third.start({ services: ["snapshotter", "supervisor"] });
    await untilSeen(wanted.filter((_, index) => answers[index]?.code === 0));
    const there = await names(first);
    for (const name of wanted.filter((name) => !there.includes(name))) {
      const { code, stderr } = await create(name);
      expect(code, stderr).toBe(0);
    }
    for (const name of wanted) expect(await first.docker.must(["start", "-a", name])).toBe(`${name}\n`);
    await first.docker.must(["rm", ...wanted], { timeoutMs: 60_000 });
    await first.docker.must(["start", "on-host3"]);
    await untilAllRun(first);
  }, 180_000);

  const untilSeen = (made: readonly string[]) =>
    eventually(
      "what was made is seen",
      async () => {
        const there = await states(first);
        for (const name of made) expect(there).toContain(`${name} created`);
        expect(there.join()).not.toContain("unreachable");
        return true;
      },
      15_000,
      250,
    );
});

describe("a node that dies in the middle of fetching an image", () => {
  it.each([50, 150, 400])(
    "has all of it the next time: %i ms into it",
    async (ms) => {
      const image = `fetched-${ms}`;
      const big = join(hosts.work, image);
      const bytes = 24 << 20;
      await writeFile(big, randomBytes(bytes));
      await first.docker.must(["create", "--name", "donor", "-l", `berth.node=${first.name}`, busybox]);
      await first.docker.must(["cp", "-q", big, "donor:/big"]);
      await first.docker.must(["commit", "donor", image]);
      const run = (name: string) => {
        const place = ["-l", `berth.node=${third.name}`];
        return first.docker.run(["run", "--rm", "--name", name, ...place, image, "md5sum", "/big"], {
          timeoutMs: 60_000,
        });
      };
      const torn = run("torn");
      await sleep(ms);
      await third.crash();
      await third.start({ services: ["snapshotter", "supervisor"] });
      await torn;
      const expected = `${createHash("md5")
        .update(await readFile(big))
        .digest("hex")}  /big\n`;
      const whole = await eventually("it is fetched", async () => {
        const result = await run("whole");
        return result.code === 0 ? result.stdout : undefined;
      });
      expect(whole).toBe(expected);
      await first.docker.run(["rm", "-f", "torn"]);
      await first.docker.must(["rm", "donor"]);
      await first.docker.must(["rmi", image]);
      await first.docker.must(["start", "on-host3"]);
      await untilAllRun(first);
    },
    180_000,
  );
});

describe("a node whose disk is full", () => {
  it("refuses what needs room, keeps what it has, and goes on when there is room again", async () => {
    const fill = "dd if=/dev/zero of=/big bs=64k 2>/dev/null; echo full; sleep 10000";
    const place = ["-l", `berth.node=${third.name}`];
    await first.docker.must(["run", "-d", "--name", "filler", ...place, busybox, "sh", "-c", fill]);
    await eventually(
      "the disk is full",
      async () => (await third.run(["df", "--output=avail", third.root])).stdout.split("\n")[1]?.trim() === "0",
      30_000,
    );
    const refused = await first.docker.run(["run", "-d", "--name", "late", ...place, busybox, "sleep", "1000"]);
    expect(refused.stderr).toMatch(/no space left on device/i);
    expect(refused.code).toBe(125);
    expect(await names(first)).not.toContain("late");
    expect(await second.docker.must(["exec", "on-host3", "echo", "fine"])).toBe("fine\n");
    // The name is not taken: it goes to another node.
    await first.docker.must(sleeper("late", second));
    await first.docker.must(["rm", "-f", "late", "filler"]);
    await eventually(
      "there is room again",
      async () => (await first.docker.run(sleeper("late", third))).code === 0 || undefined,
      30_000,
      1_000,
    );
    expect(await first.docker.must(["exec", "late", "echo", "fine"])).toBe("fine\n");
    await first.docker.must(["rm", "-f", "late"]);
    await untilAllRun(second);
  }, 180_000);
});
