// Containers from host to host: all that they wrote goes along, and what can't go stays as it was.
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
