// What the options do, seen from inside a container.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node, runToEnd } from "./harness.ts";

let node: Node;
let shared: string;
beforeAll(async () => {
  node = await Node.open();
  shared = await mkdtemp(join(tmpdir(), "sup-bind-"));
});
afterAll(async () => {
  await node.close();
  await rm(shared, { recursive: true, force: true });
});

const sh = (script: string, config = {}, host = {}) => runToEnd(node, ["sh", "-c", script], config, host);
const outOf = async (script: string, config = {}, host = {}) => {
  const { out, err } = await sh(script, config, host);
  expect(err).toBe("");
  return out;
};

test("environment, user, directory, host name, entry point", async () => {
  const config = {
    env: ["X=1", "PATH=/bin"],
    user: "user",
    workingDir: "/tmp",
    hostname: "box",
    domainname: "example.org",
  };
  expect(await outOf("echo $X $PATH; id -u; id -g; pwd; hostname", config)).toBe("1 /bin\n1000\n1000\n/tmp\nbox\n");
  expect((await runToEnd(node, ["b"], { entrypoint: ["echo", "a"] })).out).toBe("a b\n");
  expect(await outOf("id -u; id -g; id -G", { user: "12:34" }, { groupAdd: ["56"] })).toBe("12\n34\n34 56\n");
});

test("capabilities, no_new_privs and seccomp", async () => {
  const status = async (field: string, host = {}) =>
    (await outOf(`grep ${field} /proc/self/status`, {}, host)).replace(/\s+/g, " ").trim();
  expect(await status("CapEff")).toBe("CapEff: 00000000a80425fb");
  expect(await status("CapEff", { capDrop: ["ALL"], capAdd: ["net_admin"] })).toBe("CapEff: 0000000000001000");
  expect(await status("NoNewPrivs", { securityOpt: ["no-new-privileges"] })).toBe("NoNewPrivs: 1");
  expect(await status("Seccomp:")).toBe("Seccomp: 2");
  expect((await sh("mkdir /m && mount -t tmpfs none /m", {}, { capAdd: ["SYS_ADMIN"] })).err).toBe("");
  expect((await sh("unshare -n true")).err).toMatch(/Operation not permitted/);
  expect(await status("Seccomp:", { securityOpt: ["seccomp=unconfined"] })).toBe("Seccomp: 0");
  expect(await status("Seccomp:", { privileged: true })).toBe("Seccomp: 0");
  const profile = JSON.stringify({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
  });
  expect((await sh("mkdir /x", {}, { securityOpt: [`seccomp=${profile}`] })).err).toMatch(/Operation not permitted/);
});

test("binds, tmpfs, read-only root, volumes", async () => {
  await writeFile(join(shared, "f"), "from the host\n");
  expect(await outOf("cat /b/f; echo inside > /b/g", {}, { binds: [`${shared}:/b`] })).toBe("from the host\n");
  expect(await readFile(join(shared, "g"), "utf8")).toBe("inside\n");
  expect((await sh("echo x > /b/f", {}, { binds: [`${shared}:/b:ro`] })).err).toMatch(/Read-only file system/);
  expect((await sh("touch /x", {}, { readonlyRootfs: true })).err).toMatch(/Read-only file system/);
  expect(
    await outOf(
      "touch /t/x && grep ' /t ' /proc/mounts | cut -d' ' -f3,4",
      {},
      { readonlyRootfs: true, tmpfs: { "/t": "size=1m,exec" } },
    ),
  ).toMatch(/^tmpfs rw,nosuid,nodev,relatime,size=1024k/);
  expect(await outOf("touch /v/x; stat -c %a /v", { volumes: ["/v"] })).toBe("755\n");
  expect(
    await outOf(
      "grep ' /m ' /proc/mounts | cut -d' ' -f4 | cut -c1-2",
      {},
      { mounts: [{ type: "bind", source: shared, target: "/m", readOnly: true }] },
    ),
  ).toBe("ro\n");
  expect(await outOf("ls /new", {}, { binds: [`${join(shared, "made/here")}:/new`] })).toBe("");
});

test("defaults of /proc, /sys and /dev are those of Docker", async () => {
  expect((await sh("echo 1 > /proc/sys/kernel/panic")).err).toMatch(/Read-only/);
  expect(await outOf("cat /proc/timer_list /proc/kcore 2>/dev/null | wc -c")).toBe("0\n");
  expect(await outOf("ls /dev")).toBe(
    "console\ncore\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
      .replace("console\n", "")
      .replace("core\n", ""),
  );
  expect(await outOf("df -k /dev/shm | tail -1 | awk '{print $2}'")).toBe("65536\n");
  expect(await outOf("df -k /dev/shm | tail -1 | awk '{print $2}'", {}, { shmSize: 1 << 20 })).toBe("1024\n");
  expect(
    await outOf(
      "ls /dev/zz; head -c1 /dev/zz | wc -c",
      {},
      { resources: { devices: [{ pathOnHost: "/dev/zero", pathInContainer: "/dev/zz", cgroupPermissions: "r" }] } },
    ),
  ).toBe("/dev/zz\n1\n");
  expect((await sh("head -c1 /dev/kmsg", {}, {})).exitCode).not.toBe(0);
});

test("limits are the kernel's", async () => {
  const controller = (file: string) => `cat /sys/fs/cgroup/${file} 2>/dev/null`;
  expect(await outOf(controller("memory/memory.limit_in_bytes"), {}, { resources: { memory: 32 << 20 } })).toBe(
    `${32 << 20}\n`,
  );
  expect(await outOf(controller("pids/pids.max"), {}, { resources: { pidsLimit: 20 } })).toBe("20\n");
  expect(
    await outOf(
      `${controller("cpu/cpu.cfs_quota_us")}; ${controller("cpu/cpu.shares")}`,
      {},
      { resources: { nanoCpus: 5e8, cpuShares: 512 } },
    ),
  ).toBe("50000\n512\n");
  expect(
    await outOf("ulimit -n; ulimit -Hn", {}, { resources: { ulimits: [{ name: "nofile", soft: 100, hard: 200 }] } }),
  ).toBe("100\n200\n");
  expect(await outOf("cat /proc/self/oom_score_adj", {}, { oomScoreAdj: 300 })).toBe("300\n");
  expect(await outOf("cat /proc/sys/kernel/msgmax", {}, { sysctls: { "kernel.msgmax": "12345" } })).toBe("12345\n");
});

test("a memory hog is killed, and inspect says why", async () => {
  const { id } = await node.supervisor.create({
    spec: node.spec(["sh", "-c", "x=a; while :; do x=$x$x; done"], {}, { resources: { memory: 8 << 20 } }),
  });
  await node.supervisor.start({ container: id });
  for await (const _ of node.supervisor.wait({ container: id }));
  const { container } = await node.supervisor.inspect({ container: id });
  expect(container?.state).toMatchObject({ exitCode: 137, oomKilled: true });
  await node.supervisor.remove({ container: id });
});

test("namespaces of the host and of other containers", async () => {
  const { id } = await node.supervisor.create({
    spec: node.spec(["sleep", "1000"], { hostname: "donor" }, { ipcMode: "shareable" }),
  });
  await node.supervisor.start({ container: id });
  const own = async (type: string) =>
    outOf(
      `readlink /proc/1/ns/${type}`,
      {},
      { networkMode: `container:${id}`, ipcMode: `container:${id}`, pidMode: `container:${id}` },
    );
  const donor = (await node.supervisor.inspect({ container: id })).container?.state?.pid ?? 0;
  const { readlink } = await import("node:fs/promises");
  for (const type of ["net", "ipc", "pid"])
    expect((await own(type)).trim()).toBe(await readlink(`/proc/${donor}/ns/${type}`));
  expect((await outOf("readlink /proc/self/ns/uts", {}, { utsMode: "host" })).trim()).toBe(
    await readlink("/proc/self/ns/uts"),
  );
  expect((await outOf("readlink /proc/self/ns/pid", {}, { pidMode: "host" })).trim()).toBe(
    await readlink("/proc/self/ns/pid"),
  );
  await node.supervisor.remove({ container: id, force: true });
});
