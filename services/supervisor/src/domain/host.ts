import { access, readFile } from "node:fs/promises";
import { availableParallelism, release, totalmem } from "node:os";

/** What the host's kernel offers, read once at start. */
export interface HostFacts {
  readonly cpus: number;
  /** bytes */
  readonly memory: number;
  /** Cpu and memory node lists that exist ("0-1"). */
  readonly cpuset: string;
  readonly memset: string;
  readonly kernelVersion: string;
  readonly operatingSystem: string;
  readonly osVersion: string;
  readonly architecture: string;
  /** Capabilities of this process's bounding set, "CAP_CHOWN" and so on: no container can have more. */
  readonly capabilities: readonly string[];
  readonly cgroup: {
    readonly version: 1 | 2;
    readonly pids: boolean;
    readonly memory: boolean;
    readonly swap: boolean;
    readonly cpu: boolean;
    readonly cpuset: boolean;
    /** Files that only some kernels have. */
    readonly cpuRealtime: boolean;
    readonly kernelMemory: boolean;
    readonly kernelMemoryTcp: boolean;
    readonly swappiness: boolean;
    readonly blkioWeight: boolean;
    readonly blkioWeightDevice: boolean;
  };
  readonly apparmor: boolean;
  readonly selinux: boolean;
  /** Changes with each boot of the host. */
  readonly bootId: string;
}

export async function readHostFacts(): Promise<HostFacts> {
  const [cpuset, memset, osRelease, status, cgroup, apparmor, selinux, bootId] = await Promise.all([
    text("/sys/devices/system/cpu/online", "0"),
    text("/sys/devices/system/node/online", "0"),
    text("/etc/os-release", ""),
    text("/proc/self/status", ""),
    readCgroupFacts(),
    exists("/sys/kernel/security/apparmor/profiles"),
    exists("/sys/fs/selinux/enforce"),
    text("/proc/sys/kernel/random/boot_id", ""),
  ]);
  return {
    cpus: availableParallelism(),
    memory: totalmem(),
    cpuset,
    memset,
    kernelVersion: release(),
    operatingSystem: osField(osRelease, "PRETTY_NAME") || "Linux",
    osVersion: osField(osRelease, "VERSION_ID"),
    architecture: { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch,
    capabilities: capabilitiesOf(/^CapBnd:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"),
    cgroup,
    apparmor,
    selinux,
    bootId,
  };
}

/** In the order of their numbers (linux/capability.h). */
export const capabilityNames = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
].map((name) => `CAP_${name}`);

function capabilitiesOf(mask: string): string[] {
  const bits = BigInt(`0x${mask}`);
  return capabilityNames.filter((_, number) => (bits >> BigInt(number)) & 1n);
}

async function readCgroupFacts(): Promise<HostFacts["cgroup"]> {
  if (await exists("/sys/fs/cgroup/cgroup.controllers")) {
    const controllers = new Set((await text("/sys/fs/cgroup/cgroup.controllers", "")).split(" "));
    return {
      version: 2,
      pids: controllers.has("pids"),
      memory: controllers.has("memory"),
      swap: controllers.has("memory"),
      cpu: controllers.has("cpu"),
      cpuset: controllers.has("cpuset"),
      cpuRealtime: false,
      kernelMemory: false,
      kernelMemoryTcp: false,
      swappiness: false,
      blkioWeight: controllers.has("io"),
      blkioWeightDevice: controllers.has("io"),
    };
  }
  const has = (path: string) => exists(`/sys/fs/cgroup/${path}`);
  const [cpuRealtime, kernelMemory, kernelMemoryTcp, swappiness] = await Promise.all([
    has("cpu/cpu.rt_period_us"),
    has("memory/memory.kmem.limit_in_bytes"),
    has("memory/memory.kmem.tcp.limit_in_bytes"),
    has("memory/memory.swappiness"),
  ]);
  const rare = { cpuRealtime, kernelMemory, kernelMemoryTcp, swappiness };
  const [pids, memory, swap, cpu, cpuset, blkioWeight, blkioWeightDevice] = await Promise.all([
    has("pids"),
    has("memory/memory.limit_in_bytes"),
    has("memory/memory.memsw.limit_in_bytes"),
    has("cpu/cpu.shares"),
    has("cpuset/cpuset.cpus"),
    has("blkio/blkio.weight"),
    has("blkio/blkio.weight_device"),
  ]);
  return { version: 1, ...rare, pids, memory, swap, cpu, cpuset, blkioWeight, blkioWeightDevice };
}

function osField(osRelease: string, key: string): string {
  const value = new RegExp(`^${key}=(.*)$`, "m").exec(osRelease)?.[1] ?? "";
  return value.replace(/^["']|["']$/g, "");
}

async function text(path: string, fallback: string): Promise<string> {
  return readFile(path, "utf8").then(
    (content) => content.trim(),
    () => fallback,
  );
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
