import { readFile, statfs } from "node:fs/promises";
import type { Parts } from "./containers/parts.ts";

/** What `docker info` tells of a node. */
export async function nodeInfo(parts: Parts) {
  const { facts, registry } = parts;
  const statuses = registry.all().map(({ record }) => record.state.status);
  const count = (...wanted: string[]) => statuses.filter((status) => wanted.includes(status)).length;
  const forwarding = await readFile("/proc/sys/net/ipv4/ip_forward", "utf8").catch(() => "0");
  return {
    nodeId: parts.nodeId,
    nodeName: parts.nodeName,
    containersRunning: count("running", "restarting"),
    containersPaused: count("paused"),
    containersStopped: count("created", "exited", "dead", "removing"),
    memoryTotal: facts.memory,
    cpus: facts.cpus,
    kernelVersion: facts.kernelVersion,
    operatingSystem: facts.operatingSystem,
    osVersion: facts.osVersion,
    architecture: facts.architecture,
    cgroupVersion: String(facts.cgroup.version),
    securityOptions: [
      ...(facts.apparmor ? ["name=apparmor"] : []),
      "name=seccomp,profile=builtin",
      ...(facts.selinux ? ["name=selinux"] : []),
      ...(facts.cgroup.version === 2 ? ["name=cgroupns"] : []),
    ],
    warnings: facts.cgroup.swap ? [] : ["WARNING: No swap limit support"],
    runtimeVersion: "0.1.0",
    runtimes: await parts.runtimes.list(),
    defaultRuntime: parts.runtimes.defaultName,
    rootDir: parts.paths.stateDir,
    volumeDrivers: await parts.volumes.parts.drivers.names(),
    ipv4Forwarding: forwarding.trim() === "1",
    backingFilesystem: await filesystemOf(parts.paths.stateDir),
  };
}

/** Docker's names for what statfs tells (linux/magic.h). */
const filesystems: Record<number, string> = {
  61267: "extfs",
  1481003842: "xfs",
  2435016766: "btrfs",
  16914836: "tmpfs",
  801189825: "zfs",
  2035054128: "overlayfs",
  26985: "nfs",
  4076150800: "f2fs",
};

async function filesystemOf(path: string): Promise<string> {
  const { type } = await statfs(path).catch(() => ({ type: 0 }));
  return filesystems[type] ?? "<unknown>";
}
