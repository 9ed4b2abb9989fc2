// Volumes and mounts against real mounts, a real plugin, and a supervisor that dies.
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerSpec, DeepPartial } from "@berth/api/containers";
import { VolumesDefinition } from "@berth/api/volumes";
import { eventually } from "@berth/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { failure, Node, runToEnd, waitExit } from "./harness.ts";
import { VolumePlugin } from "./volume-plugin.ts";

let node: Node;
let plugin: VolumePlugin;
beforeAll(async () => {
  node = await Node.open();
  plugin = await VolumePlugin.start(join(node.runDir, "plugins/store.sock"), join(node.work, "store"));
});
afterAll(async () => {
  await node.close();
  await plugin.stop();
});
afterEach(async () => {
  plugin.failures.clear();
  const { containers } = await node.supervisor.list({ all: true });
  for (const { id } of containers) await node.supervisor.remove({ container: id, force: true, volumes: true });
  for (const { name } of (await volumes().list({})).volumes) await volumes().remove({ name, force: true });
});

const volumes = () => node.clientOf(VolumesDefinition);
const names = async () => (await volumes().list({})).volumes.map(({ name }) => name).sort();
const onDisk = () => readdir(join(node.stateDir, "volumes"));
const isMounted = async (path: string) => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `);
const dataOf = (name: string) => join(node.stateDir, "volumes", name, "_data");

type Host = DeepPartial<ContainerSpec["hostConfig"]>;
type Config = DeepPartial<ContainerSpec["config"]>;
const create = async (host: Host, cmd = ["sleep", "1000"], config: Config = {}, name = "") =>
  (await node.supervisor.create({ name, spec: node.spec(cmd, config, host) })).id;
const started = async (host: Host, cmd?: string[]) => {
  const id = await create(host, cmd);
  await node.supervisor.start({ container: id });
  return id;
};
const mountsOf = async (id: string) => (await node.supervisor.inspect({ container: id })).container?.mounts ?? [];
const sh = (host: Host, script: string) => runToEnd(node, ["sh", "-c", script], {}, host);

async function restart(): Promise<void> {
  await node.end("supervisor");
  node.startService("supervisor");
  await node.serving();
}

test("a named volume outlives its containers, and is in use as long as one is there", async () => {
  expect((await sh({ binds: ["data:/d"] }, "echo kept >/d/f")).exitCode).toBe(0);
  expect((await sh({ binds: ["data:/d:ro"] }, "cat /d/f; touch /d/g")).out).toBe("kept\n");
  const id = await create({ binds: ["data:/d"] });
  const inUse = { reason: "IN_USE", message: `remove data: volume is in use - [${id}]` };
  expect(await failure(volumes().remove({ name: "data" }))).toEqual(inUse);
  await restart();
  expect(await failure(volumes().remove({ name: "data", force: true }))).toEqual(inUse);
  expect((await volumes().list({ filters: { dangling: { values: ["true"] } } })).volumes).toEqual([]);
  await node.supervisor.remove({ container: id, volumes: true });
  expect(await names()).toEqual(["data"]);
  await volumes().remove({ name: "data" });
  expect(await onDisk()).toEqual([]);
  expect(await failure(volumes().inspect({ name: "data" }))).toEqual({
    reason: "NO_SUCH_VOLUME",
    message: "get data: no such volume",
  });
});

test("anonymous volumes go with rm -v alone, and not while another container has them", async () => {
  const first = await create({}, ["true"], { volumes: ["/a"] }, "first");
  const [point] = await mountsOf(first);
  expect(point).toMatchObject({
    type: "volume",
    driver: "local",
    destination: "/a",
    mode: "",
    rw: true,
    propagation: "",
  });
  const name = point?.name ?? "";
  expect(name).toMatch(/^[0-9a-f]{64}$/);
  const { volume } = await volumes().inspect({ name });
  expect(volume).toMatchObject({ labels: { values: { "com.docker.volume.anonymous": "" } }, mountpoint: dataOf(name) });
  const second = await create({ volumesFrom: ["first:ro"] });
  expect(await mountsOf(second)).toMatchObject([{ name, rw: false }]);
  await node.supervisor.remove({ container: first, volumes: true });
  expect(await names()).toEqual([name]);
  await node.supervisor.remove({ container: second, volumes: true });
  expect(await names()).toEqual([]);
  const third = await create({}, ["true"], { volumes: ["/a"] });
  await node.supervisor.remove({ container: third });
  expect(await names()).toHaveLength(1);
  expect(await volumes().prune({})).toMatchObject({ names: [expect.any(String)] });
  expect(await onDisk()).toEqual([]);
});

test("what the image has is copied into a new volume, and not into one that has something", async () => {
  expect((await sh({ binds: ["fill:/etc"] }, "cat /etc/group; stat -c %a /etc")).out).toMatch(/extra.*\n755\n/s);
  expect((await readdir(dataOf("fill"))).sort()).toEqual(expect.arrayContaining(["group", "passwd"]));
  await sh({ binds: ["fill:/etc"] }, "rm /etc/group");
  expect((await sh({ binds: ["fill:/x"] }, "ls /x")).out).not.toContain("group");
  await sh({ binds: ["fill:/etc"] }, "true");
  expect(await readdir(dataOf("fill"))).not.toContain("group");
  await sh({ binds: ["bare:/etc:nocopy"] }, "true");
  expect(await readdir(dataOf("bare"))).not.toContain("group");
  const file = await failure(create({ binds: ["file:/etc/passwd"] }));
  expect(file).toEqual({ reason: "INTERNAL", message: "source /etc/passwd is not directory" });
});

test("options of the local driver are mounted with the first container and unmounted with the last", async () => {
  const options = { values: { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=7" } };
  await volumes().create({ name: "mem", options });
  expect(await isMounted(dataOf("mem"))).toBe(false);
  const first = await started({ binds: ["mem:/m"] });
  const second = await started({ binds: ["mem:/m"] });
  expect(await isMounted(dataOf("mem"))).toBe(true);
  await node.supervisor.stop({ container: first, timeout: 0 });
  await waitExit(node, first);
  expect(await isMounted(dataOf("mem"))).toBe(true);
  // Found again by a supervisor that did not see it mounted.
  await restart();
  expect(await isMounted(dataOf("mem"))).toBe(true);
  await node.supervisor.stop({ container: second, timeout: 0 });
  await eventually("it is unmounted", async () => !(await isMounted(dataOf("mem"))) || undefined);
  expect((await sh({ binds: ["mem:/m"] }, "stat -c %u /m")).out).toBe("7\n");
});

test("a mount whose container ended while nobody looked is unmounted", async () => {
  await volumes().create({ name: "mem", options: { values: { type: "tmpfs", device: "tmpfs" } } });
  const id = await started({ binds: ["mem:/m"] });
  await node.end("supervisor");
  const { state } = { state: await readFile(join(node.runDir, "containers", id, "config.json"), "utf8") };
  expect(state).toContain("/m");
  await killProcess(id);
  node.startService("supervisor");
  await node.serving();
  await eventually("it is unmounted", async () => !(await isMounted(dataOf("mem"))) || undefined);
});

/** Ends a container's first process behind the supervisor's back. */
async function killProcess(id: string): Promise<void> {
  const pid = await eventually("its process", async () => {
    for (const name of await readdir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const cgroup = await readFile(`/proc/${name}/cgroup`, "utf8").catch(() => "");
      const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
      if (cgroup.includes(id) && command.startsWith("sleep")) return Number(name);
    }
    return undefined;
  });
  process.kill(pid, "SIGKILL");
}

test("what cannot be mounted says so in Docker's words, and the container can be removed", async () => {
  await volumes().create({ name: "bad", options: { values: { type: "none", device: "/nonexist", o: "bind" } } });
  const id = await create({ binds: ["bad:/b"] });
  expect(await failure(node.supervisor.start({ container: id }))).toEqual({
    reason: "INTERNAL",
    message:
      `error while mounting volume '${dataOf("bad")}': failed to mount local volume: mount /nonexist:${dataOf("bad")}, ` +
      "flags: 0x1000: no such file or directory",
  });
  await volumes().create({
    name: "fs",
    options: { values: { type: "nosuchfs", device: "x", o: "a,password=secret" } },
  });
  const other = await create({ binds: ["fs:/b"] });
  expect((await failure(node.supervisor.start({ container: other }))).message).toBe(
    `error while mounting volume '${dataOf("fs")}': failed to mount local volume: mount x:${dataOf("fs")}, ` +
      "data: a,password=********: no such device",
  );
});

test("a volume's subpath, and links that lead out of it", async () => {
  await volumes().create({ name: "sub" });
  await mkdir(join(dataOf("sub"), "dir"));
  await writeFile(join(dataOf("sub"), "dir/f"), "in\n");
  await symlink("dir", join(dataOf("sub"), "good"));
  await symlink("/", join(dataOf("sub"), "root"));
  const mount = (subpath: string) => ({ mounts: [{ type: "volume", source: "sub", target: "/s", subpath }] });
  expect((await sh(mount("dir"), "cat /s/f")).out).toBe("in\n");
  expect((await sh(mount("good"), "cat /s/f")).out).toBe("in\n");
  expect((await sh(mount("dir/f"), "cat /s")).out).toBe("in\n");
  const nope = await create(mount("nope"));
  expect((await failure(node.supervisor.start({ container: nope }))).message).toContain("cannot access path");
  const out = await create(mount("root/etc"));
  expect((await failure(node.supervisor.start({ container: out }))).message).toContain(
    "path concatenation escapes the base directory",
  );
});

test("images are mounted read-only, whole or in part", async () => {
  const imageLayers = node.image?.layers ?? [];
  const mount = (subpath = "") => ({
    mounts: [{ type: "image", source: "busybox", target: "/i", subpath, imageId: node.image?.id ?? "", imageLayers }],
  });
  expect((await sh(mount(), "cat /i/etc/group; touch /i/x; echo $?")).out).toMatch(/extra.*\n1\n$/s);
  expect((await sh(mount("etc"), "cat /i/group")).out).toContain("extra");
  expect((await sh(mount("etc/group"), "cat /i")).out).toContain("extra");
  const id = await create(mount("nope"));
  expect((await failure(node.supervisor.start({ container: id }))).message).toMatch(
    /^cannot access path .*\/nope: lstat/,
  );
});

test("mounts lie inside each other, and read-only reaches what is below", async () => {
  await mkdir(join(node.work, "outer/inner"), { recursive: true });
  const host: Host = {
    binds: [`${join(node.work, "outer")}:/o`, "inner:/o/inner"],
    mounts: [{ type: "tmpfs", target: "/o/inner/t", tmpfsSize: 1 << 20, tmpfsMode: 0o700 }],
    tmpfs: { "/o/inner/t/u": "size=64k" },
  };
  const { out } = await sh(host, "grep -c ' /o' /proc/mounts; stat -c %a /o/inner/t; touch /o/inner/t/u/x && echo ok");
  expect(out).toBe("4\n700\nok\n");
});

test("a plugin's volumes are created, mounted for each container, told of and removed", async () => {
  const created = await volumes().create({ name: "far", driver: "store", options: { values: { tier: "gold" } } });
  expect(created.volume).toMatchObject({ driver: "store", scope: "global", createdAt: "2024-05-06T07:08:09Z" });
  expect(JSON.parse(created.volume?.status ?? "")).toEqual({ Hello: "world" });
  expect(plugin.options.get("far")).toEqual({ tier: "gold" });
  await plugin.add("foreign");
  expect(await names()).toEqual(["far", "foreign"]);
  expect((await node.supervisor.nodeInfo({})).volumeDrivers).toEqual(["local", "store"]);
  plugin.calls.length = 0;
  const id = await started({ binds: ["far:/f"] }, ["sh", "-c", "echo x >/f/x; sleep 1000"]);
  expect(plugin.mounted("far")).toHaveLength(1);
  // Ended by a supervisor that did not begin it.
  await restart();
  await node.supervisor.stop({ container: id, timeout: 0 });
  await eventually("it is unmounted", () => plugin.mounted("far").length === 0 || undefined);
  expect(await readFile(join(node.work, "store/far/x"), "utf8")).toBe("x\n");
  expect(await failure(volumes().remove({ name: "far" }))).toMatchObject({ reason: "IN_USE" });
  await node.supervisor.remove({ container: id });
  expect(await failure(volumes().create({ name: "far", driver: "local" }))).toEqual({
    reason: "CONFLICT",
    message: "create far: driver 'store' already has volume 'far': volume name must be unique",
  });
  await volumes().remove({ name: "far" });
  expect(plugin.options.has("far")).toBe(false);
});

test("a plugin that refuses, that lies and that is not there", async () => {
  plugin.failures.set("Create", { status: 500, body: '{"Err":"disk on fire"}' });
  expect((await failure(volumes().create({ name: "p1", driver: "store" }))).message).toMatch(/disk on fire$/);
  plugin.failures.set("Create", { status: 200, body: '{"Err":"no space"}' });
  expect(await failure(volumes().create({ name: "p1", driver: "store" }))).toEqual({
    reason: "INTERNAL",
    message: "create p1: no space",
  });
  plugin.failures.clear();
  await volumes().create({ name: "p1", driver: "store" });
  plugin.failures.set("Mount", { status: 200, body: "not JSON" });
  const id = await create({ binds: ["p1:/p"] });
  expect((await failure(node.supervisor.start({ container: id }))).message).toContain("not a JSON object");
  plugin.failures.set("List", { status: 500, body: "broken" });
  const listed = await volumes().list({});
  expect(listed.volumes.map(({ name }) => name)).toContain("p1");
  expect(listed.warnings).toEqual([expect.stringContaining("broken")]);
  await node.supervisor.remove({ container: id });
  plugin.failures.set("Remove", { status: 200, body: '{"Err":"busy"}' });
  expect((await failure(volumes().remove({ name: "p1" }))).message).toBe("remove p1: busy");
  plugin.failures.clear();
  expect(await failure(volumes().create({ name: "p2", driver: "nope" }))).toEqual({
    reason: "NO_SUCH_VOLUME",
    message: 'create p2: error looking up volume plugin nope: plugin "nope" not found',
  });
  expect((await failure(volumes().create({ name: "p2", driver: "../../etc/x" }))).reason).toBe("NO_SUCH_VOLUME");
});

for (const point of ["volume.made", "volume.forgotten"]) {
  test(`dying at ${point}: no volume, nothing on the disk, its name is free`, async () => {
    if (point === "volume.forgotten") await volumes().create({ name: "torn" });
    await node.dieAt(point, () =>
      point === "volume.made" ? volumes().create({ name: "torn" }) : volumes().remove({ name: "torn" }),
    );
    expect(await names()).toEqual([]);
    expect(await onDisk()).toEqual([]);
    await volumes().create({ name: "torn" });
  });
}

test("dying at volume.recorded: the volume is there", async () => {
  await node.dieAt("volume.recorded", () => volumes().create({ name: "kept", labels: { values: { a: "b" } } }));
  expect((await volumes().inspect({ name: "kept" })).volume?.labels?.values).toEqual({ a: "b" });
});

test("dying at create.filled: a container's volumes are nobody's, and prune takes the anonymous ones", async () => {
  await node.dieAt("create.filled", () => create({ binds: ["named:/n"] }, ["true"], { volumes: ["/a"] }));
  expect((await node.supervisor.list({ all: true })).containers).toEqual([]);
  const { names: pruned } = await volumes().prune({ filters: { all: { values: ["true"] } } });
  expect(pruned.length).toBeLessThanOrEqual(2);
  expect(await onDisk()).toEqual([]);
});
