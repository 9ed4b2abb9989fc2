import { cpus, hostname, release, totalmem } from "node:os";
import { dockerVersion } from "../http/version.ts";
import type { NodeInfoResponse } from "../rpc/types.ts";

export interface InfoExtras {
  images: number;
  warnings: string[];
  minor: number;
  arch: string;
  nodes: number;
}

/** Several nodes shown as one engine: what counts is added up, the rest is the first one's. */
export function mergeNodes(infos: readonly NodeInfoResponse[]): NodeInfoResponse | undefined {
  const [first, ...others] = infos;
  if (first === undefined) return undefined;
  const sum = { ...first, warnings: [...first.warnings] };
  for (const node of others) {
    sum.containersRunning += node.containersRunning;
    sum.containersPaused += node.containersPaused;
    sum.containersStopped += node.containersStopped;
    sum.cpus += node.cpus;
    sum.memoryTotal += node.memoryTotal;
    sum.warnings.push(...node.warnings);
  }
  return sum;
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
      ["Supports d_type", "true"],
      ["Native Overlay Diff", "true"],
      ["Nodes", String(extras.nodes)],
    ],
    Plugins: { Volume: [], Network: ["bridge", "host", "null"], Authorization: null, Log: ["json-file", "none"] },
    ...abilities(node),
    Debug: false,
    NFd: 0,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: "json-file",
    CgroupDriver: "cgroupfs",
    CgroupVersion: node?.cgroupVersion || "1",
    NEventsListener: 0,
    KernelVersion: node?.kernelVersion || release(),
    OperatingSystem: node?.operatingSystem ?? "",
    OSVersion: node?.osVersion ?? "",
    OSType: "linux",
    Architecture: machineNames[arch] ?? arch,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig,
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
    Runtimes: { berth: { path: "berth-runtime" } },
    DefaultRuntime: "berth",
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
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: node?.runtimeVersion ?? "" },
    InitCommit: { ID: "" },
    SecurityOptions: securityOptions(node, extras.minor),
    ...(extras.minor >= 49 ? { FirewallBackend: { Driver: "nftables" } } : {}),
    CDISpecDirs: [],
    Warnings: warnings(node, extras),
  };
}

function abilities(node: NodeInfoResponse | undefined): Record<string, boolean> {
  return {
    MemoryLimit: true,
    SwapLimit: true,
    KernelMemoryTCP: false,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: node?.ipv4Forwarding ?? true,
    OomKillDisable: node?.cgroupVersion !== "2",
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

const registryConfig = {
  IndexConfigs: { "docker.io": { Mirrors: [], Name: "docker.io", Official: true, Secure: true } },
  InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8"],
  Mirrors: null,
};
