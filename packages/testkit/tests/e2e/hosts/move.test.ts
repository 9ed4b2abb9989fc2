// Containers from host to host: all that they wrote goes along, and what can't go stays as it was.
import { VolumesDefinition } from "@berth/api/volumes";
import { createLogger } from "@berth/log";
import { createClients } from "@berth/rpc";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type Host, type Hosts, openHosts } from "../../../src/index.ts";

let hosts: Hosts;
let first: Host;
let second: Host;
let third: Host;
let busybox: string;

beforeAll(async () => {
  hosts = await openHosts(3);
  [first, second, third] = hosts.all as [Host, Host, Host];
  busybox = await hosts.pushBusybox();
  await first.start({ args: ["--advertise", first.address] });
  await second.start({
    args: ["--join", await first.token()],
    services: ["snapshotter", "supervisor", "gateway"],
    env: { BERTH_NODE_LABELS: "disk=ssd" },
  });
  await third.start({ args: ["--join", await first.token()], services: ["snapshotter", "supervisor"] });
  await first.docker.must(["pull", "-q", busybox]);
  await eventually(
    "three nodes",
    async () => (await berth(["node", "ls", "-q"])).split("\n").length === 4 || undefined,
  );
}, 180_000);

afterAll(async () => {
  await hosts?.close();
}, 120_000);

/** What `berth` prints at the first host. */
async function berth(args: readonly string[], host = first): Promise<string> {
  const { code, stdout, stderr } = await host.berth(args);
  if (code !== 0) throw new Error(`berth ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

const docker = (...args: string[]) => first.docker.must(args);
const nodeOf = async (name: string, host = first) =>
  (await host.docker.must(["inspect", "-f", "{{.Node.Name}}", name])).trim();
/** What a host keeps of a container. */
const filesOn = async (host: Host, id: string) =>
  (await host.run(["find", host.root, host.runDir, "-name", `${id}*`])).stdout;
const state = async (name: string, host = first) =>
  (await host.docker.must(["inspect", "-f", "{{.Node.Name}} {{.State.Status}} {{.RestartCount}}", name])).trim();
const on = (host: string) => ["-l", `berth.node=${host}`, "--name"];

/** Everything below a directory of a running container, as far as can be seen from inside: a line each. */
async function look(name: string, directory: string): Promise<string> {
  const script = `cd ${directory} || exit; find . | sort | while read -r f; do stat -c '%n %F %a %u:%g %t,%T %h %b %y' "$f"; [ -f "$f" ] && md5sum "$f"; [ -L "$f" ] && readlink "$f"; done; true`;
  const text = await docker("exec", name, "sh", "-c", script);
  // A directory's blocks are its file system's.
  return text.replace(/( directory .*) \d+ (\S+ \S+ \S+)$/gm, "$1 $2");
}

const written = ["/data", "/vol", "/anon", "/usr", "/bin", "/tmp"];
const churn = `[ -e /data/one ] && exec sleep 1000
  set -e
  mkdir -p /data/deep/er /opaque; echo one > /data/one; ln /data/one /data/deep/link; ln -s ../one /data/deep/soft
  rm -r /bin/vi /home /var/www 2>/dev/null || true; rm -rf /usr/sbin; mkdir /usr/sbin; echo new > /usr/sbin/new
  truncate -s 50M /data/sparse; echo end >> /data/sparse; mkfifo /data/pipe; mknod /data/null c 1 3
  chown 12:34 /data/deep; chmod 4711 /data/one; chmod 1777 /data/deep/er; echo odd > /data/.wh.odd
  touch -d '2001-02-03 04:05:06' /data/one
  mkdir -p /vol/sub; echo kept > /vol/sub/kept; chown 70:70 /vol; chmod 700 /vol; echo anonymous > /anon/file
  echo said; echo complained >&2; exec sleep 1000`;

describe("a move", () => {
  it("takes a container that does not run", async () => {
    const id = (await docker("create", ...on("host1"), "idle", busybox, "cat", "/note")).trim();
    await docker("cp", "/etc/hostname", "idle:/note");
    const refused = await first.berth(["container", "move", "idle", "host2"]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("its labels do not allow that node")]);
    const out = await berth(["container", "move", "--force", "idle", "host2"]);
    expect(out).toContain("Moving idle from host1 to host2\n");
    expect(out).toMatch(/Moved idle to host2\n$/);
    for (const host of [first, second]) expect(await nodeOf("idle", host)).toBe("host2");
    expect((await docker("start", "-a", "idle")).trim()).not.toBe("");
    expect(await filesOn(first, id)).toBe("");
    await docker("rm", "idle");
  });

  it("takes all that a running one wrote, with its volumes, log, health checks and published ports", async () => {
    const health = ["--health-cmd", "test -e /vol/sub/kept", "--health-interval", "500ms"];
    const options = [
      "--restart",
      "always",
      "--stop-timeout",
      "1",
      "-v",
      "named:/vol",
      "-v",
      "/anon",
      "-p",
      "8080:80",
      ...health,
    ];
    const id = (await docker("run", "-d", "--name", "full", ...options, busybox, "sh", "-c", churn)).trim();
    const from = await nodeOf("full");
    const here = hosts.all.find(({ name }) => name === from) as Host;
    const there = from === "host3" ? second : third;
    await eventually("it has written", async () => (await docker("logs", "full")).includes("said") || undefined);
    const before = await Promise.all(written.map((directory) => look("full", directory)));
    const log = await docker("logs", "-t", "full");
    const changes = await docker("diff", "full");
    const waiting = first.docker.start([
      "events",
      "--filter",
      "event=move",
      "--format",
      "{{.Action}} {{.Actor.Attributes.from}} {{.Actor.Attributes.to}}",
    ]);
    let told = "";
    waiting.stdout.on("data", (data: Buffer) => {
      told += data.toString();
    });
    expect(await berth(["container", "move", "--dry-run", "full", there.name])).toMatch(/volume named: .*\n/);
    expect(await nodeOf("full")).toBe(from);
    await berth(["container", "move", "full", there.name], second);
    // At once, and through every gateway.
    for (const host of [first, second]) expect(await state("full", host)).toBe(`${there.name} running 0`);
    expect(await Promise.all(written.map((directory) => look("full", directory)))).toEqual(before);
    expect(await docker("diff", "full")).toBe(changes);
    expect((await docker("logs", "-t", "full")).startsWith(log)).toBe(true);
    expect(await docker("inspect", "-f", "{{.Id}} {{range .Mounts}}{{.Source}} {{end}}", "full")).toContain(there.root);
    await eventually(
      "it is healthy",
      async () => (await docker("inspect", "-f", "{{.State.Health.Status}}", "full")) === "healthy\n" || undefined,
    );
    await docker("exec", "-d", "full", "httpd", "-p", "80", "-h", "/vol/sub");
    const fetched = await eventually("its port is published", async () => {
      const { stdout } = await here.run(["curl", "-s", "--max-time", "2", `http://${there.address}:8080/kept`]);
      return stdout === "kept\n" || undefined;
    });
    expect(fetched).toBe(true);
    expect(await filesOn(here, id)).toBe("");
    expect(await docker("volume", "ls", "-q", "-f", "name=named")).toBe("named\n");
    await eventually("everybody hears of it", () => told === `move ${from} ${there.name}\n` || undefined);
    waiting.kill();
    await docker("rm", "-f", "-v", "full");
    await docker("volume", "rm", "named");
  });
});

describe("what can't be moved", () => {
  const run = (name: string, ...options: string[]) =>
    docker("run", "-d", "--stop-timeout", "0", ...on("host1"), name, ...options, busybox, "sleep", "1000");

  it("is refused with the reason before anything happens", async () => {
    await docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "scratch");
    await run("shared", "-v", "both:/vol");
    const cases: [name: string, options: string[], reason: RegExp][] = [
      ["bound", ["-v", "/tmp:/host"], /\/tmp of this host is mounted at \/host/],
      ["mounts", ["-v", "scratch:/s", "-l", "berth.affinity=container==shared"], /volume scratch has options/],
      ["sharing", ["-v", "both:/vol"], /volume both is used by shared too/],
      ["hostnet", ["--network", "host"], /it has the host's network namespace/],
      ["joined", ["--network", "container:shared"], /it has the network namespace of another container/],
      ["device", ["--device", "/dev/null:/dev/x"], /it has the host's device \/dev\/null/],
      ["linked", ["--link", "shared:s"], /it is linked to container shared/],
    ];
    for (const [name, options, reason] of cases) {
      await run(name, ...options);
      const { code, stderr } = await first.berth(["container", "move", "--force", name, "host2"]);
      expect([name, code, stderr]).toEqual([name, 1, expect.stringMatching(reason)]);
      const dry = await first.berth(["container", "move", "--force", "--dry-run", name, "host2"]);
      expect([dry.code, dry.stdout]).toEqual([1, expect.stringMatching(reason)]);
      expect(await state(name)).toBe("host1 running 0");
    }
    const shared = await first.berth(["container", "move", "--force", "shared", "host2"]);
    expect(shared.stderr).toMatch(/container linked is linked to it/);
    expect(shared.stderr).toMatch(/container joined shares its namespaces/);
    expect(shared.stderr).toMatch(/volume both is used by sharing too/);
    await docker("rm", "-f", "-v", ...cases.map(([name]) => name), "shared");
    await docker("volume", "rm", "both", "scratch");
  });

  it("nor one that is paused, nor to a node that does not suit", async () => {
    await run("still", "-l", "berth.constraint=node.labels.disk!=ssd");
    const refused = async (node: string, ...flags: string[]) => {
      const { code, stderr } = await first.berth(["container", "move", ...flags, "still", node]);
      expect(code).toBe(1);
      return stderr;
    };
    expect(await refused("host1")).toContain("it is on node host1 already");
    expect(await refused("host9")).toContain("No such node: host9");
    expect(await refused("host2")).toContain("its labels do not allow that node (--force moves it all the same)");
    await berth(["node", "drain", "--no-move", "host2"]);
    expect(await refused("host2", "--force")).toContain("node host2 is drained");
    await berth(["node", "activate", "host2"]);
    await docker("pause", "still");
    expect(await refused("host3", "--force")).toContain("it is paused: unpause it first");
    await docker("unpause", "still");
    await third.stop();
    await eventually(
      "it is missed",
      async () => (await refused("host3", "--force")).includes("node host3 is away") || undefined,
    );
    await third.start();
    await eventually("it is back", async () => {
      const { stdout } = await first.berth(["node", "inspect", "host3"]);
      return (JSON.parse(stdout) as [{ State: string }])[0].State === "ready" || undefined;
    });
    await docker("rm", "-f", "still");
    await eventually(
      "names are known",
      async () =>
        (await first.berth(["container", "move", "nobody", "host2"])).stderr.includes("No such container: nobody") ||
        undefined,
    );
  });

  it("a volume of that name there is not overwritten", async () => {
    await docker(
      "run",
      "-d",
      "--stop-timeout",
      "0",
      ...on("host1"),
      "mine",
      "-v",
      "twice:/v",
      busybox,
      "sleep",
      "1000",
    );
    // Only its own node can be asked for a second one of that name.
    const clients = createClients(undefined, {
      hostId: "test",
      log: createLogger({ service: "test", level: "silent" }),
    });
    const there = clients.at(VolumesDefinition, `unix:${second.runDir}/supervisor.sock`);
    await there.create({ name: "twice" });
    const { code, stderr } = await first.berth(["container", "move", "--force", "mine", "host2"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("there is a volume twice here already")]);
    await there.remove({ name: "twice" });
    await berth(["container", "move", "--force", "-q", "mine", "host2"]);
    expect(await state("mine")).toBe("host2 running 0");
    clients.close();
    await docker("rm", "-f", "mine");
    await docker("volume", "rm", "twice");
  });
});

describe("draining a node", () => {
  it("moves what can go, and says why the rest stays", async () => {
    const run = (name: string, ...options: string[]) =>
      docker(
        "run",
        "-d",
        "--stop-timeout",
        "0",
        "--name",
        name,
        "-l",
        "berth.constraint=node.labels.disk==ssd",
        ...options,
        busybox,
        "sleep",
        "1000",
      );
    await run("bound", "-v", "/tmp:/host");
    for (const name of ["one", "two", "three"]) await run(name);
    await berth(["node", "update", "--label-add", "disk=ssd", "host3"]);
    await docker("run", "-d", "--stop-timeout", "0", ...on("host2"), "named", busybox, "sleep", "1000");
    const { code, stdout, stderr } = await first.berth(["node", "drain", "host2"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/bound stays on host2: .*\/tmp of this host is mounted/);
    expect(stderr).toMatch(/named stays on host2: .*no suitable node/);
    expect(stdout).toContain("Moved ");
    for (const name of ["one", "two", "three"]) expect(await state(name)).toBe("host3 running 0");
    for (const name of ["bound", "named"]) expect(await state(name)).toBe("host2 running 0");
    await docker("rm", "-f", "one", "two", "three", "bound", "named");
    expect((await first.berth(["node", "drain", "-q", "host2"])).code).toBe(0);
    await berth(["node", "activate", "host2"]);
  });
});
