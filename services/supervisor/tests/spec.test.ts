// Bundles against what Docker 28.5 writes for the same options (paths and ids apart).
import { expect, test } from "vitest";
import type { MountPoint } from "../src/domain/model.ts";
import { type BundleInput, bundleOf } from "../src/domain/spec/bundle.ts";
import { applyDefaults } from "../src/domain/spec/defaults.ts";
import { deviceNumbers } from "../src/domain/spec/devices.ts";
import { resolveProfile } from "../src/domain/spec/seccomp.ts";
import { facts, makePoint, makeRecord, makeSpec } from "./support.ts";

const id = "732588d1561f19c62a2ada0d499690c9be28553c0bf31199ec02a4e29ab21960";

async function bundle(
  host: Parameters<typeof makeSpec>[0] = {},
  own: Parameters<typeof makeSpec>[1] = {},
  mounts: Partial<MountPoint>[] = [],
) {
  const spec = makeSpec(host, own);
  applyDefaults(spec, id, facts);
  const record = { ...makeRecord(spec, id), mounts: mounts.map(makePoint) };
  const input: BundleInput = {
    facts,
    namespaces: { network: spec.hostConfig.networkMode === "host" ? null : "/net", ipc: null, shm: null, pid: null },
    volumes: new Map([["/vol", "/volumes/x/_data"]]),
    propagation: new Map(),
    linkEnv: [],
    files: { resolvConf: "/f/resolv.conf", hostname: "/f/hostname", hosts: "/f/hosts" },
    initProgram: "/opt/berth-runtime",
    exitFile: "/e",
    logPaths: { json: "/l", compact: "/c" },
    runtime: null,
    place: { endpoints: [], ports: [] },
  };
  return { ...(await bundleOf(record, input)), spec };
}

const guarded = ["nosuid", "noexec", "nodev"];

test("a container without options", async () => {
  const { config, monitor, spec } = await bundle({}, { cmd: ["sleep", "1000"] });
  expect(config).toMatchObject({
    hostname: "732588d1561f",
    root: { readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["sleep", "1000"],
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=732588d1561f"],
      cwd: "/",
      oomScoreAdj: 0,
      noNewPrivileges: false,
    },
    linux: {
      sysctl: { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" },
      cgroupsPath: `/berth/${id}`,
      namespaces: [
        { type: "mount" },
        { type: "network", path: "/net" },
        { type: "uts" },
        { type: "pid" },
        { type: "ipc" },
      ],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  });
  const capabilities =
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
      .split(" ")
      .map((name) => `CAP_${name}`);
  expect(config.process.capabilities).toEqual({
    bounding: capabilities,
    effective: capabilities,
    permitted: capabilities,
    inheritable: [],
    ambient: [],
  });
  expect(config.mounts).toEqual([
    { destination: "/proc", type: "proc", source: "proc", options: guarded },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...guarded, "ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", ...guarded] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: guarded },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...guarded, "mode=1777", "size=67108864"] },
    { destination: "/etc/resolv.conf", type: "bind", source: "/f/resolv.conf", options: ["rbind", "rprivate"] },
    { destination: "/etc/hostname", type: "bind", source: "/f/hostname", options: ["rbind", "rprivate"] },
    { destination: "/etc/hosts", type: "bind", source: "/f/hosts", options: ["rbind", "rprivate"] },
  ]);
  expect(config.linux.maskedPaths).toHaveLength(12);
  expect(monitor).toMatchObject({
    v: 1,
    id,
    exitFile: "/e",
    log: {
      path: "/l",
      maxSize: 100 << 20,
      maxFiles: 5,
      compress: false,
      compact: false,
      hold: false,
      attributes: "",
    },
    user: "0",
    stdinOpen: false,
  });
  expect(spec.hostConfig).toMatchObject({
    networkMode: "bridge",
    shmSize: 67108864,
    ipcMode: "private",
    cgroupnsMode: "host",
    runtime: "runc",
  });
});

test("many options", async () => {
  const resources = {
    memory: 64 << 20,
    nanoCpus: 5e8,
    pidsLimit: 90,
    devices: [{ pathOnHost: "/dev/null", pathInContainer: "/dev/zz", cgroupPermissions: "r" }],
    ulimits: [{ name: "nofile", soft: 100, hard: 200 }],
  };
  const { config } = await bundle(
    {
      tmpfs: { "/t": "size=1m" },
      resources,
      groupAdd: ["7"],
      ipcMode: "host",
      pidMode: "host",
      utsMode: "host",
      readonlyRootfs: true,
      capAdd: ["NET_ADMIN"],
      capDrop: ["CHOWN"],
    },
    { user: "1000:5", env: ["A=b"] },
    [
      { source: "/tmp", destination: "/x", rw: false },
      {
        source: "/usr",
        destination: "/u/v",
        rw: false,
        readOnlyRecursion: "no",
        recursive: false,
        propagation: "rslave",
      },
      { type: "volume", destination: "/vol", subpath: "a/b" },
      { type: "tmpfs", destination: "/u", tmpfsOptions: ["ro", "mode=700", "exec"] },
    ],
  );
  expect(config.process.rlimits).toEqual([{ type: "RLIMIT_NOFILE", hard: 200, soft: 100 }]);
  expect(config.process.capabilities?.bounding).toEqual(
    "DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE NET_ADMIN"
      .split(" ")
      .map((name) => `CAP_${name}`),
  );
  expect(config.hostname).toBeUndefined();
  expect(config.root.readonly).toBe(true);
  expect(config.linux.namespaces).toEqual([{ type: "mount" }, { type: "network", path: "/net" }]);
  expect(config.linux.devices).toMatchObject([
    { path: "/dev/zz", type: "c", major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 },
  ]);
  expect(config.linux.resources).toMatchObject({
    memory: { limit: 67108864, swap: 134217728 },
    cpu: { quota: 50000, period: 100000 },
    pids: { limit: 90 },
  });
  expect(config.linux.resources.devices?.at(-1)).toEqual({ allow: true, type: "c", major: 1, minor: 3, access: "r" });
  const at = (destination: string) => config.mounts.find((mount) => mount.destination === destination);
  expect(at("/x")).toEqual({ destination: "/x", type: "bind", source: "/tmp", options: ["rbind", "rro", "rprivate"] });
  expect(at("/u/v")?.options).toEqual(["bind", "ro", "rslave"]);
  expect(at("/u")).toMatchObject({ type: "tmpfs", options: ["nosuid", "nodev", "ro", "mode=700", "exec"] });
  // What lies inside another mount comes after it.
  const order = config.mounts.map(({ destination }) => destination);
  expect(order.indexOf("/u")).toBeLessThan(order.indexOf("/u/v"));
  expect(at("/t")?.options).toEqual(["noexec", "nosuid", "nodev", "size=1m"]);
  expect(at("/vol")).toMatchObject({
    type: "bind",
    source: "/volumes/x/_data",
    options: ["rbind", "rprivate", "src-subpath=a/b"],
  });
  expect(at("/dev/shm")).toEqual({
    destination: "/dev/shm",
    type: "bind",
    source: "/dev/shm",
    options: ["rbind", "rprivate"],
  });
  expect(at("/etc/hosts")?.options).toEqual(["rbind", "rro", "rprivate"]);
});

test("privileged in the host's network", async () => {
  const { config, monitor } = await bundle({ privileged: true, networkMode: "host" });
  expect(config.process.capabilities?.bounding).toEqual(facts.capabilities);
  expect(config.linux).toMatchObject({
    maskedPaths: [],
    readonlyPaths: [],
    namespaces: [{ type: "mount" }, { type: "uts" }, { type: "pid" }, { type: "ipc" }],
  });
  expect(config.linux.seccomp).toBeUndefined();
  expect(monitor.seccomp).toBeUndefined();
  expect(config.linux.sysctl).toBeUndefined();
  expect(config.linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
  expect(config.linux.devices.map(({ path }) => path)).toContain("/dev/null");
  expect(config.mounts.find(({ destination }) => destination === "/sys")?.options).toEqual(guarded);
});

test("unlimited ulimits are what the kernel calls so", async () => {
  const { config } = await bundle({ resources: { ulimits: [{ name: "core", soft: -1, hard: -1 }] } });
  expect(JSON.stringify(config.process.rlimits)).toBe(
    '[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615}]',
  );
});

test("a cgroup parent leads nowhere else", async () => {
  expect((await bundle({ resources: { cgroupParent: "a/b" } })).config.linux.cgroupsPath).toBe(`/a/b/${id}`);
  expect((await bundle({ resources: { cgroupParent: "../../x" } })).config.linux.cgroupsPath).toBe(`/x/${id}`);
});

test("what the user mounts takes the engine's place, and the user's TERM the default's", async () => {
  const { config } = await bundle({ tmpfs: { "/dev/shm": "" } }, { tty: true, env: ["TERM=vt100", "PATH"] }, [
    { source: "/my/hosts", destination: "/etc/hosts" },
  ]);
  expect(config.mounts.filter(({ destination }) => destination === "/etc/hosts")).toEqual([
    { destination: "/etc/hosts", type: "bind", source: "/my/hosts", options: ["rbind", "rprivate"] },
  ]);
  expect(config.mounts.filter(({ destination }) => destination === "/dev/shm")).toHaveLength(1);
  expect(config.process.env).toEqual(["HOSTNAME=732588d1561f", "TERM=vt100"]);
});

test("a /dev of the user's own has nothing of the engine's in it", async () => {
  const { config } = await bundle({}, {}, [{ source: "/d", destination: "/dev" }]);
  expect(config.mounts.filter(({ destination }) => destination.startsWith("/dev"))).toEqual([
    { destination: "/dev", type: "bind", source: "/d", options: ["rbind", "rprivate"] },
  ]);
});

test("images are mounted aside, and bound from there", async () => {
  const mount = { type: "overlay", source: "overlay", options: ["lowerdir=2/fs:1/fs", "ro"], base: "/s" };
  const view = { key: "k", imageId: "i", layers: [], mount };
  const { config, monitor } = await bundle({}, {}, [
    { type: "image", destination: "/i", rw: false, view, subpath: "x" },
  ]);
  expect(monitor.stagedMounts).toEqual([{ at: "image-0", mount }]);
  expect(config.mounts.find(({ destination }) => destination === "/i")).toEqual({
    destination: "/i",
    type: "bind",
    source: "image-0",
    options: ["rbind", "rro", "rprivate", "src-subpath=x"],
  });
});

test("nothing is mounted over /proc", async () => {
  await expect(bundle({}, {}, [{ source: "/x", destination: "/proc" }])).rejects.toThrow(
    "check proc-safety of /proc mount",
  );
  await expect(bundle({ tmpfs: { "/proc": "" } })).rejects.toThrow("check proc-safety of /proc mount");
});

test("tmpfs options that there are not", async () => {
  await expect(bundle({ tmpfs: { "/a": "foo=bar" } })).rejects.toThrow('invalid tmpfs option "foo"');
});

test("seccomp: the default is the runtime's own, a user's profile goes into config.json", async () => {
  const plain = await bundle();
  expect(plain.config.linux.seccomp).toBeUndefined();
  expect(plain.monitor.seccomp).toBe("default");
  const own = await bundle({ securityOpt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}'] });
  expect(own.config.linux.seccomp).toMatchObject({ defaultAction: "SCMP_ACT_ALLOW" });
  expect(own.monitor.seccomp).toBeUndefined();
});

test("seccomp: conditions by capability, architecture and kernel", () => {
  const profile = {
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { names: ["a"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_SYS_TIME"] } },
      { names: ["b"], action: "SCMP_ACT_ALLOW", excludes: { caps: ["CAP_SYS_TIME"] } },
      { name: "c", action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
      { names: ["d"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "99.0" } },
    ],
  };
  const resolved = resolveProfile(profile, [], "6.1.0-x") as { syscalls: { names: string[] }[] };
  expect(resolved.syscalls.map(({ names }) => names[0])).toEqual(["b", "c"]);
  expect(() => resolveProfile({ defaultAction: "SCMP_ACT_ALLOW", syscalls: 3 }, [], "6")).toThrow(
    "Decoding seccomp profile failed",
  );
});

test("device numbers", () => {
  expect(deviceNumbers(0x0103)).toEqual({ major: 1, minor: 3 });
  expect(deviceNumbers(0x8801)).toEqual({ major: 136, minor: 1 });
  expect(deviceNumbers(0x100_0305)).toEqual({ major: 3, minor: 0x1005 });
});
