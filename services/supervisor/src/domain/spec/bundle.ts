import { posix } from "node:path";
import type { HostFacts } from "../host.ts";
import { type LogPaths, monitorLog } from "../logs/options/monitor.ts";
import type { ContainerRecord, ContainerSpec, MountPoint } from "../model.ts";
import type { RuntimePlace } from "../runtimes.ts";
import { capabilitiesOf, parseSeccomp, parseSecurityOptions } from "../validate/security.ts";
import { devicesOf } from "./devices.ts";
import { initMount } from "./init.ts";
import { mountsOf, type NetworkFiles, stagesOf } from "./mounts.ts";
import { type JoinedNamespaces, namespacesOf } from "./namespaces.ts";
import type { MonitorSpec, OciSpec } from "./oci.ts";
import { processOf, userOf } from "./process.ts";
import { resourcesOf } from "./resources.ts";
import { resolveProfile } from "./seccomp.ts";

/** What a bundle is made from besides the container's own record. */
export interface BundleInput {
  facts: HostFacts;
  namespaces: JoinedNamespaces;
  /** Directories of volumes on the host, by destination. */
  volumes: ReadonlyMap<string, string>;
  /** Of binds that can't have what was asked for, by destination. */
  propagation: ReadonlyMap<string, string>;
  files: NetworkFiles;
  /** Variables that links give. */
  linkEnv: readonly string[];
  /** For those with --init. */
  initProgram: string;
  /** Another OCI runtime than our own. */
  runtime: RuntimePlace | null;
  /** Where the monitor puts the exit record and the log. */
  exitFile: string;
  logPaths: LogPaths;
  place: MonitorSpec["place"];
}

export interface Bundle {
  config: OciSpec;
  monitor: MonitorSpec;
}

/** config.json and monitor.json of one start. */
export async function bundleOf(record: ContainerRecord, input: BundleInput): Promise<Bundle> {
  const { spec } = record;
  const { config, hostConfig: host } = spec;
  const devices = await devicesOf(host);
  const resources = await resourcesOf(host.resources, devices.rules);
  const seccomp = seccompOf(spec, input.facts);
  const sysctl = sysctlsOf(spec, input.namespaces.network !== null);
  const oci: OciSpec = {
    ociVersion: "1.2.0",
    process: processOf(spec, input.facts, input.linkEnv),
    root: { path: "rootfs", readonly: host.readonlyRootfs },
    ...(host.utsMode !== "host" && { hostname: config.hostname }),
    ...(host.utsMode !== "host" && config.domainname !== "" && { domainname: config.domainname }),
    mounts: [
      ...mountsOf(spec, { ...input, mounts: record.mounts }, input.files, input.namespaces.shm),
      ...initMount(host, input.initProgram),
    ],
    ...(Object.keys(host.annotations).length > 0 && { annotations: host.annotations }),
    linux: {
      ...(Object.keys(sysctl).length > 0 && { sysctl }),
      resources,
      cgroupsPath: cgroupPath(record),
      namespaces: namespacesOf(host, input.namespaces),
      devices: devices.nodes,
      ...(seccomp !== undefined && seccomp !== "default" && { seccomp }),
      rootfsPropagation: rootPropagation(record.mounts, input.propagation),
      maskedPaths: host.maskedPaths?.paths ?? [],
      readonlyPaths: host.readonlyPaths?.paths ?? [],
    },
  };
  return { config: oci, monitor: { ...monitorOf(record, input), ...(seccomp === "default" && { seccomp }) } };
}

function monitorOf(record: ContainerRecord, input: BundleInput): MonitorSpec {
  const { config, hostConfig: host } = record.spec;
  const [rows = 0, cols = 0] = host.consoleSize;
  return {
    v: 1,
    id: record.id,
    exitFile: input.exitFile,
    log: monitorLog(record, input.logPaths),
    rootfsMounts: record.rootfs.map(({ type, source, base, options }) => ({ type, source, base, options })),
    stagedMounts: stagedMounts(record.mounts),
    user: userOf(config.user),
    groups: host.groupAdd,
    ...(input.runtime !== null && { runtime: input.runtime }),
    stdinOpen: config.openStdin,
    stdinOnce: config.stdinOnce,
    rows,
    cols,
    place: input.place,
  };
}

/** Images are mounted aside first; what the container sees of them are binds. */
function stagedMounts(mounts: readonly MountPoint[]): MonitorSpec["stagedMounts"] {
  const stages = stagesOf(mounts);
  return mounts.flatMap(({ destination, view }) => {
    const at = stages.get(destination);
    return at === undefined || view === undefined ? [] : [{ at, mount: view.mount }];
  });
}

/** Below /berth unless --cgroup-parent says otherwise. */
export function cgroupPath({ id, spec }: ContainerRecord): string {
  const parent = spec.hostConfig.resources.cgroupParent;
  // Normalised from the root, so that no ".." leads anywhere.
  return posix.join(parent === "" ? "/berth" : posix.normalize(`/${parent}`), id);
}

/** Docker's two conveniences, where the network namespace is the container's own; then the user's. */
function sysctlsOf(spec: ContainerSpec, ownNetwork: boolean): Record<string, string> {
  const { hostConfig: host } = spec;
  const joined = host.networkMode.startsWith("container:");
  const ofInterface = interfaceSysctls(spec);
  const defaults =
    ownNetwork && !joined && !host.privileged
      ? { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" }
      : {};
  const own = Object.entries(host.sysctls).map(([key, value]) => [key.replaceAll("/", "."), value]);
  return { ...defaults, ...Object.fromEntries(own), ...ofInterface };
}

const endpointSysctls = "com.docker.network.endpoint.sysctls";

/** "net.ipv4.conf.IFNAME.x=1,…" of an endpoint's driver options; the only interface there is, is eth0. */
function interfaceSysctls({ endpoints }: ContainerSpec): Record<string, string> {
  const texts = endpoints.flatMap((endpoint) => endpoint.driverOptions[endpointSysctls]?.split(",") ?? []);
  return Object.fromEntries(
    texts.map((text) => {
      const [key = "", value = ""] = text.split(/=(.*)/s);
      return [key.replace(/\.ifname\./i, ".eth0."), value];
    }),
  );
}

/** A user's profile as OCI has it, or "default": that one the runtime holds itself. */
function seccompOf({ hostConfig: host }: ContainerSpec, facts: HostFacts): object | "default" | undefined {
  const seccomp = parseSeccomp(parseSecurityOptions(host.securityOpt).seccomp);
  if (seccomp === "unconfined" || (host.privileged && seccomp === "default")) return undefined;
  if (seccomp === "default") return seccomp;
  return resolveProfile(seccomp, capabilitiesOf(host, facts), facts.kernelVersion);
}

/** What is mounted shared or as a slave inside works only if the root is so as well. */
function rootPropagation(mounts: readonly MountPoint[], settled: ReadonlyMap<string, string>): string {
  const words = mounts.map((mount) => settled.get(mount.destination) ?? mount.propagation);
  if (words.some((word) => word === "shared" || word === "rshared")) return "shared";
  if (words.some((word) => word === "slave" || word === "rslave")) return "slave";
  return "private";
}
