import { readdirSync } from "node:fs";
import { cpus, hostname, release, totalmem } from "node:os";
import type { NodeRecord } from "@berth/bus";
import { dockerVersion } from "../http/version.ts";
import type { NodeInfoResponse } from "../rpc/types.ts";

export interface InfoExtras {
  images: number;
  warnings: string[];
  minor: number;
  arch: string;
  nodes: number;
  /** A line for each of several nodes. */
  nodeLines: (readonly [name: string, text: string])[];
  /** Clients that follow events now. */
  listeners: number;
}

/** Several nodes shown as one engine: what counts is added up, the rest is the first one's. */
export function mergeNodes(infos: readonly NodeInfoResponse[]): NodeInfoResponse | undefined {
  const [first, ...others] = infos;
  if (first === undefined) return undefined;
  const sum = { ...first, warnings: [...first.warnings], runtimes: [...first.runtimes] };
  for (const node of others) {
    sum.containersRunning += node.containersRunning;
    sum.containersPaused += node.containersPaused;
    sum.containersStopped += node.containersStopped;
    sum.cpus += node.cpus;
    sum.runtimes.push(...node.runtimes);
    sum.memoryTotal += node.memoryTotal;
    sum.warnings.push(...node.warnings);
  }
  return sum;
}

/** What `docker info` shows of each node, by name. */
export function nodeLines(infos: readonly NodeInfoResponse[], away: readonly NodeRecord[]): InfoExtras["nodeLines"] {
  const there = infos.map((node): [string, string] => {
    const all = node.containersRunning + node.containersPaused + node.containersStopped;
    const containers = `${all} container${all === 1 ? "" : "s"} (${node.containersRunning} running)`;
    return [node.nodeName, `ready, ${containers}, ${node.cpus} CPUs, ${(node.memoryTotal / 1024 ** 3).toFixed(1)} GiB`];
  });
  const missing = away.map(({ name, awaySince = "" }): [string, string] => [name, `unreachable since ${awaySince}`]);
  return [...there, ...missing].sort(([a], [b]) => (a < b ? -1 : 1));
}

const machineNames: Record<string, string> = { amd64: "x86_64", arm64: "aarch64", "386": "i686" };

/** GET /info. Without any node: what the gateway knows of its own host. */
export function infoJson(node: NodeInfoResponse | undefined, extras: InfoExtras): Record<string, unknown> {
  const running = node?.containersRunning ?? 0;
  const paused = node?.containersPaused ?? 0;
  const stopped = node?.containersStopped ?? 0;
  const arch = node?.architecture || extras.arch;
  return {
    ID: node?.nodeId ?? "",
    Containers: running + paused + stopped,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: stopped,
    Images: extras.images,
    Driver: "overlay2",
    DriverStatus: [
      ["Backing Filesystem", node?.backingFilesystem || "unknown"],
      ["Supports d_type", "true"],
      ["Using metacopy", "false"],
      ["Native Overlay Diff", "true"],
      ["userxattr", "false"],
      ["Nodes", String(extras.nodes)],
      // Indented below it, as the client prints what it does not know itself.
      ...extras.nodeLines.map(([name, text]) => [`  ${name}`, text]),
    ],
    Plugins: {
      Volume: node?.volumeDrivers ?? ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: ["fluentd", "gelf", "journald", "json-file", "local", "syslog"],
    },
    ...abilities(node, extras.minor),
    Debug: false,
    NFd: openFiles(),
    NGoroutines: process.getActiveResourcesInfo().length,
    SystemTime: new Date().toISOString(),
    LoggingDriver: "json-file",
    CgroupDriver: "cgroupfs",
    CgroupVersion: node?.cgroupVersion || "1",
    NEventsListener: extras.listeners,
    KernelVersion: node?.kernelVersion || release(),
    OperatingSystem: node?.operatingSystem ?? "",
    OSVersion: node?.osVersion ?? "",
    OSType: "linux",
    Architecture: machineNames[arch] ?? arch,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(extras.minor),
    NCPU: node?.cpus ?? cpus().length,
    MemTotal: node?.memoryTotal ?? totalmem(),
    GenericResources: null,
    DockerRootDir: node?.rootDir ?? "",
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: node?.nodeName ?? hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: dockerVersion,
    Runtimes: runtimes(node),
    DefaultRuntime: node?.defaultRuntime || "runc",
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    // Containers outlive every service of the engine.
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "",
    ContainerdCommit: commit("", extras.minor),
    RuncCommit: commit(node?.runtimeVersion ?? "", extras.minor),
    InitCommit: commit("", extras.minor),
    SecurityOptions: securityOptions(node, extras.minor),
    ...(extras.minor >= 49 ? { FirewallBackend: { Driver: "nftables" } } : {}),
    CDISpecDirs: ["/etc/cdi", "/var/run/cdi"],
    ...(extras.minor < 50 ? { BridgeNfIptables: false, BridgeNfIp6tables: false } : {}),
    Warnings: warnings(node, extras),
  };
}

/** By name; a node of an older version has but one, by the names that clients know. */
function runtimes(node: NodeInfoResponse | undefined): Record<string, object> {
  const known = node?.runtimes ?? [];
  if (known.length === 0)
    return { "io.containerd.runc.v2": { path: "berth-runtime" }, runc: { path: "berth-runtime" } };
  const rows = known.map(
    ({ name, path, args, features }) =>
      [
        name,
        {
          path,
          ...(args.length > 0 && { runtimeArgs: args }),
          ...(features !== "" && { status: { "org.opencontainers.runtime-spec.features": features } }),
        },
      ] as const,
  );
  // In Go's order, that of their names.
  return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function abilities(node: NodeInfoResponse | undefined, minor: number): Record<string, boolean> {
  const isV1 = node?.cgroupVersion !== "2";
  return {
    MemoryLimit: true,
    SwapLimit: !(node?.warnings ?? []).some((warning) => warning.includes("swap limit")),
    // Taken away in 1.42: kernels no longer have the limit, and nothing here sets it.
    ...(minor < 42 ? { KernelMemory: isV1 } : {}),
    KernelMemoryTCP: isV1,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: node?.ipv4Forwarding ?? true,
    OomKillDisable: isV1,
  };
}

function securityOptions(node: NodeInfoResponse | undefined, minor: number): string[] {
  const options = node?.securityOptions ?? [];
  // Before 1.25 an option was its name alone.
  return minor >= 25 ? [...options] : options.map((option) => /name=([^,]+)/.exec(option)?.[1] ?? option);
}

function warnings(node: NodeInfoResponse | undefined, extras: InfoExtras): string[] | null {
  const all = [...extras.warnings, ...(node?.warnings ?? [])];
  return all.length === 0 ? null : all;
}

function registryConfig(minor: number): Record<string, unknown> {
  return {
    // Gone since 1.48, and null ever since they meant nothing.
    ...(minor < 47 ? { AllowNondistributableArtifactsCIDRs: null, AllowNondistributableArtifactsHostnames: null } : {}),
    IndexConfigs: { "docker.io": { Mirrors: [], Name: "docker.io", Official: true, Secure: true } },
    InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8"],
    Mirrors: null,
  };
}

/** Before 1.49 the commit that was expected stood beside the one that is there. */
function commit(id: string, minor: number): Record<string, string> {
  return minor < 49 ? { ID: id, Expected: id } : { ID: id };
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
