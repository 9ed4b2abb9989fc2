import type { Endpoint, PublishedPort } from "../model.ts";
import type { RuntimePlace } from "../runtimes.ts";

/** The parts of OCI's config.json (runtime-spec 1.2) that the supervisor writes, and the monitor's own file beside it. */

export interface OciMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

export interface OciProcess {
  terminal: boolean;
  consoleSize?: { height: number; width: number };
  user: { uid: number; gid: number; additionalGids?: number[] };
  args: string[];
  env: string[];
  cwd: string;
  capabilities?: Record<"bounding" | "effective" | "permitted" | "inheritable" | "ambient", string[]>;
  rlimits?: { type: string; soft: number; hard: number }[];
  noNewPrivileges: boolean;
  oomScoreAdj?: number;
}

export interface OciNamespace {
  type: "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup";
  path?: string;
}

export interface OciDevice {
  path: string;
  type: string;
  major: number;
  minor: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

export interface OciDeviceRule {
  allow: boolean;
  type?: string;
  major?: number;
  minor?: number;
  access: string;
}

export interface OciThrottle {
  major: number;
  minor: number;
  rate: number;
}

export interface OciResources {
  devices?: OciDeviceRule[];
  memory?: {
    limit?: number;
    reservation?: number;
    swap?: number;
    swappiness?: number;
    kernel?: number;
    kernelTCP?: number;
    disableOOMKiller?: boolean;
  };
  cpu?: {
    shares?: number;
    quota?: number;
    period?: number;
    realtimePeriod?: number;
    realtimeRuntime?: number;
    cpus?: string;
    mems?: string;
  };
  pids?: { limit: number };
  blockIO?: {
    weight?: number;
    weightDevice?: { major: number; minor: number; weight: number }[];
    throttleReadBpsDevice?: OciThrottle[];
    throttleWriteBpsDevice?: OciThrottle[];
    throttleReadIOPSDevice?: OciThrottle[];
    throttleWriteIOPSDevice?: OciThrottle[];
  };
}

export const hookNames = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
export type OciHookName = (typeof hookNames)[number];

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
  /** seconds */
  timeout?: number;
}

export interface OciSpec {
  ociVersion: string;
  process: OciProcess;
  root: { path: string; readonly: boolean };
  hostname?: string;
  domainname?: string;
  mounts: OciMount[];
  annotations?: Record<string, string>;
  hooks?: Partial<Record<OciHookName, OciHook[]>>;
  linux: {
    sysctl?: Record<string, string>;
    resources: OciResources;
    cgroupsPath: string;
    namespaces: OciNamespace[];
    devices: OciDevice[];
    seccomp?: unknown;
    rootfsPropagation: string;
    maskedPaths: string[];
    readonlyPaths: string[];
  };
}

/** The container's log files (native/isolation/PROTOCOL.md, "The log's files"). */
export interface MonitorLog {
  path: string;
  /** bytes; 0: no rotation */
  maxSize: number;
  maxFiles: number;
  compress: boolean;
  compact: boolean;
  hold: boolean;
  /** A JSON object's text, or "". */
  attributes: string;
}

/** monitor.json (native/isolation/PROTOCOL.md). */
export interface MonitorSpec {
  v: 1;
  id: string;
  exitFile: string;
  log: MonitorLog | null;
  rootfsMounts: { type: string; source: string; base: string; options: string[] }[];
  stagedMounts: { at: string; mount: { type: string; source: string; base: string; options: string[] } }[];
  user: string;
  /** Names or numbers. */
  groups: string[];
  /** The runtime's own default profile, for the container's capabilities; config.json names none then. */
  seccomp?: "default";
  /** Another OCI runtime, which makes the processes. */
  runtime?: RuntimePlace;
  stdinOpen: boolean;
  stdinOnce: boolean;
  rows: number;
  cols: number;
  /** Not the monitor's: what recovery needs of a container that ran before its record said so. */
  place: { endpoints: Endpoint[]; ports: PublishedPort[] };
}
