import { readFile } from "node:fs/promises";
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
    rootDir: parts.paths.stateDir,
    ipv4Forwarding: forwarding.trim() === "1",
  };
}
