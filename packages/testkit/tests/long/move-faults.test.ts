// Moves that are cut short at every point, on both sides and in between: in the end one host has the container, with all of its data,
// under its name, running as before; and nothing of it is left on the other.
import type { ChildProcess } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ended, eventually, type Host, type Hosts, openHosts } from "../../src/index.ts";

let hosts: Hosts;
let first: Host;
let source: Host;
let target: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, source, target] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  const env = (host: Host) => ({ BERTH_SUPERVISOR_FAULT: `@${faultOf(host)}` });
  await first.start({
    args: ["--advertise", first.address],
    services: ["image-store", "registry-proxy", "gateway"],
  });
  const services = ["snapshotter", "supervisor", "gateway"];
  await source.start({ args: ["--join", await first.token()], services, env: env(source) });
  await target.start({ args: ["--join", await first.token()], services, env: env(target) });
  await first.docker.must(["pull", "-q", busybox]);
  await eventually("two nodes", async () => {
    const { stdout } = await first.berth(["node", "ls", "-q"]);
    return stdout.split("\n").filter(Boolean).length === 2 || undefined;
  });
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

afterEach(async () => {
  for (const host of hosts.all) await host.heal();
  await docker("rm", "-f", "-v", "cut", "squatter");
  await docker("volume", "rm", "-f", "kept");
}, 60_000);

const faultOf = (host: Host) => join(hosts.work, `${host.name}.fault`);
/** The supervisor of that host dies when it next comes to the point. */
const arm = (host: Host, point: string) => writeFile(faultOf(host), point);
const docker = (...args: string[]) => first.docker.run(args);
/** In no command and no record: only where the container's data is. */
const token = `only-in-data-${process.pid}`;

async function runOnSource(...options: string[]): Promise<string> {
  const place = ["-l", `berth.constraint=node.name!=${target.name}`, "--stop-timeout", "0"];
  const id = await first.docker.must([
    "run",
    "-d",
    "--name",
    "cut",
    "-v",
    "kept:/vol",
    ...place,
    ...options,
    busybox,
    "sleep",
    "1000",
  ]);
  const write = "printf %s%s $1 $2 | tee /layer /vol/volume >/dev/null; echo said >/proc/1/fd/1; sync";
  await first.docker.must(["exec", "cut", "sh", "-c", write, "sh", token.slice(0, 5), token.slice(5)]);
  return id.trim();
}

const move = (host = first) => host.berth(["container", "move", "--force", "cut", target.name]);

/** Where the container is, once one host has it for good. */
async function settled(id: string): Promise<Host> {
  return eventually(
    "one host has it, whole and running",
    async () => {
      const seen = await Promise.all(
        [first, source].map((host) =>
          host.docker.must(["ps", "-a", "--no-trunc", "-f", "name=^cut$", "--format", "{{.ID}} {{.Names}} {{.State}}"]),
        ),
      );
      expect(seen).toEqual([`${id} cut running\n`, `${id} cut running\n`]);
      const name = (await first.docker.must(["inspect", "-f", "{{.Node.Name}}", "cut"])).trim();
      const owner = [source, target].find((host) => host.name === name) as Host;
      const other = owner === source ? target : source;
      expect(await first.docker.must(["exec", "cut", "cat", "/layer", "/vol/volume"])).toBe(token + token);
      expect(await first.docker.must(["logs", "cut"])).toBe("said\n");
      expect(await first.docker.must(["volume", "ls", "-q"])).toBe("kept\n");
      // Its name can be changed, so nobody holds it any more.
      await first.docker.must(["rename", "cut", "named"]);
      await first.docker.must(["rename", "named", "cut"]);
      expect(await traces(other, id)).toBe("");
      return owner;
    },
    60_000,
    200,
  );
}

/** Files by its id or with its data, its volume's directory, and its layers. */
async function traces(host: Host, id: string): Promise<string> {
  const named = await host.run(["find", host.root, host.runDir, "(", "-name", `${id}*`, "-o", "-name", "kept", ")"]);
  const data = await host.run(["grep", "-rlF", token, host.root]);
  return named.stdout + data.stdout;
}

const departure = ["depart.marked", "depart.stopped", "depart.layer", "depart.volume", "depart.files", "depart.sent"];
const arrival = ["arrive.begun", "arrive.prepared", "arrive.layer", "arrive.volume", "arrive.files", "arrive.whole"];
const takeover = ["arrive.taken", "arrive.recorded", "arrive.started", "arrive.held"];

describe("a supervisor dies", () => {
  it.each(departure)("the source's at %s: it stays", async (point) => {
    const id = await runOnSource();
    await arm(source, point);
    expect(await move()).toMatchObject({ code: 1 });
    expect((await settled(id)).name).toBe(source.name);
  });

  it.each(arrival)("the target's at %s: it stays, or is taken over by the next process", async (point) => {
    const id = await runOnSource();
    await arm(target, point);
    await move();
    const owner = await settled(id);
    if (point !== "arrive.whole") expect(owner.name).toBe(source.name);
  });

  it.each(takeover)("the target's at %s: it has moved", async (point) => {
    const id = await runOnSource();
    await arm(target, point);
    await move();
    expect((await settled(id)).name).toBe(target.name);
  });

  it("the source's when it has taken its copy away: it has moved", async () => {
    const id = await runOnSource();
    await arm(source, "move.erased");
    await move();
    expect((await settled(id)).name).toBe(target.name);
  });
});

describe("what can't start there goes back", () => {
  it("and runs where it ran; the reason is told", async () => {
    await squat();
    const id = await runOnSource("-p", "7777:80");
    const { code, stderr } = await move();
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/cannot start container cut on node host3: .*port is already allocated/s),
    ]);
    expect((await settled(id)).name).toBe(source.name);
  });

  it.each([
    ["target", "arrive.started"],
    ["target", "arrive.given-back"],
    ["target", "move.erased"],
    ["source", "depart.staying"],
    ["source", "depart.stayed"],
  ])("also when the %s's supervisor dies at %s", async (side, point) => {
    await squat();
    const id = await runOnSource("-p", "7777:80");
    await arm(side === "target" ? target : source, point);
    await move();
    expect((await settled(id)).name).toBe(source.name);
  });
});

async function squat(): Promise<void> {
  await docker("rm", "-f", "squatter");
  await first.docker.must([
    "run",
    "-d",
    "--name",
    "squatter",
    "-l",
    `berth.node=${target.name}`,
    "-p",
    "7777:80",
    busybox,
    "sleep",
    "1000",
  ]);
}

describe("in between", () => {
  /** Moves enough to be met in the middle of it. */
  async function inTheMiddle(
    host: Host,
    strike: (moving: ChildProcess) => Promise<unknown> | unknown,
  ): Promise<{ id: string; code: number | null }> {
    const id = await runOnSource();
    await first.docker.must(["exec", "cut", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count=300"]);
    const moving = host.startBerth(["container", "move", "--force", "cut", target.name]);
    let out = "";
    moving.stdout.on("data", (data: Buffer) => {
      out += data.toString();
    });
    await eventually("it is under way", () => out.includes("writable layer: Sending") || undefined, 20_000, 5);
    await strike(moving);
    const [code] = await ended(moving);
    return { id, code };
  }

  it("the gateway dies: nobody need know", async () => {
    const { id, code } = await inTheMiddle(first, () => first.engine.kill("gateway"));
    expect(code).toBe(1);
    await first.engine.healthy("gateway");
    expect((await settled(id)).name).toBe(source.name);
  });

  it("the client leaves: it is called off", async () => {
    const { id } = await inTheMiddle(first, (moving) => moving.kill());
    await settled(id);
  });

  it("NATS dies: it is done, or undone", async () => {
    const { id } = await inTheMiddle(source, () => first.engine.kill("nats"));
    await settled(id);
  });

  it("the target is cut off: it stays, and nothing is left there when it comes back", async () => {
    const { id, code } = await inTheMiddle(first, () => target.cut());
    expect(code).toBe(1);
    await eventually(
      "it runs again",
      async () => (await first.docker.must(["inspect", "-f", "{{.State.Status}}", "cut"])) === "running\n" || undefined,
      60_000,
    );
    await target.heal();
    expect((await settled(id)).name).toBe(source.name);
  });
});
