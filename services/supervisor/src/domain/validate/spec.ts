import { isIP, isIPv4 } from "node:net";
import { invalid, notBuilt } from "../errors.ts";
import type { HostFacts } from "../host.ts";
import type { ContainerSpec } from "../model.ts";
import { type MountRequest, parseMounts } from "../spec/mountpoints.ts";
import { parseLogConfig } from "./logging.ts";
import { checkModes, containerOf } from "./modes.ts";
import { parsePortRequests } from "./ports.ts";
import { checkResources } from "./resources.ts";
import { checkRestartPolicy } from "./restart.ts";
import { normalizeCapability, parseSecurityOptions } from "./security.ts";
import { parseSignal } from "./signals.ts";

/** The names under which a user may ask for the engine's own runtime. */
const runtimes = ["", "berth", "runc", "io.containerd.runc.v2"];
/** Bounds on what one container may list: far above any use, far below what would hurt. */
const maxEntries = 4096;
const maxArgumentBytes = 1 << 20;

export interface CheckedSpec {
  warnings: string[];
  mounts: MountRequest[];
}

/** Checks a whole spec before anything is made. May take out what the host can't do (and warn). Throws INVALID_ARGUMENT, NOT_IMPLEMENTED. */
export function checkSpec(spec: ContainerSpec, facts: HostFacts): CheckedSpec {
  const { config, hostConfig: host } = spec;
  checkBounds(spec);
  checkConfig(spec);
  checkNotBuilt(spec);
  checkModes(spec);
  checkRestartPolicy(host.restartPolicy);
  if (host.autoRemove && !["", "no"].includes(host.restartPolicy.name)) {
    throw invalid("can't create 'AutoRemove' container with restart policy");
  }
  for (const name of host.capAdd) normalizeCapability(name, "CapAdd");
  for (const name of host.capDrop) normalizeCapability(name, "CapDrop");
  parseSecurityOptions(host.securityOpt);
  parseLogConfig(host.logConfig);
  parsePortRequests(config, host);
  const mounts = parseMounts(host, config.volumes);
  const warnings = checkResources(host.resources, facts);
  if (host.networkMode === "host" && host.portBindings.length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  if (config.macAddress !== "") {
    warnings.push(
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    );
  }
  return { warnings, mounts };
}

function checkBounds({ config, hostConfig: host, layers }: ContainerSpec): void {
  const lists: [string, { length: number }][] = [
    ["Env", config.env],
    ["Cmd", config.cmd],
    ["Entrypoint", config.entrypoint],
    ["ExposedPorts", config.exposedPorts],
    ["Binds", host.binds],
    ["Mounts", host.mounts],
    ["PortBindings", host.portBindings],
    ["ExtraHosts", host.extraHosts],
    ["Devices", host.resources.devices],
    ["Labels", Object.keys(config.labels)],
    ["Sysctls", Object.keys(host.sysctls)],
    ["layers", layers],
  ];
  for (const [name, list] of lists) {
    if (list.length > maxEntries)
      throw invalid(`${name} has ${list.length} entries, at most ${maxEntries} are allowed`);
  }
  const bytes = [...config.env, ...config.cmd, ...config.entrypoint].reduce((sum, text) => sum + text.length, 0);
  if (bytes > maxArgumentBytes)
    throw invalid(`arguments and environment have ${bytes} characters, at most ${maxArgumentBytes} are allowed`);
  const nul = [...config.env, ...config.cmd, ...config.entrypoint, config.workingDir, config.user, config.hostname];
  if (nul.some((text) => text.includes("\0")))
    throw invalid("arguments and environment must not contain NUL characters");
}

function checkConfig({ config, hostConfig: host }: ContainerSpec): void {
  if (config.entrypoint.length === 0 && config.cmd.length === 0) throw invalid("no command specified");
  if (config.workingDir !== "" && !config.workingDir.startsWith("/")) {
    throw invalid(`the working directory '${config.workingDir}' is invalid, it needs to be an absolute path`);
  }
  for (const entry of config.env) {
    if (entry === "" || entry.startsWith("=")) throw invalid(`invalid environment variable: ${entry}`);
  }
  if (config.stopSignal !== "") parseSignal(config.stopSignal);
  // The kernel's bound (__NEW_UTS_LEN); Docker finds it out at start.
  if (config.hostname.length > 64)
    throw invalid(`hostname of ${config.hostname.length} characters, at most 64 are allowed`);
  if (config.domainname.length > 64)
    throw invalid(`domain name of ${config.domainname.length} characters, at most 64 are allowed`);
  if (config.macAddress !== "") checkMac(config.macAddress);
  if (host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000) {
    throw invalid(`Invalid value ${host.oomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
  if (host.shmSize < 0) throw invalid("SHM size can not be less than 0");
  if (!runtimes.includes(host.runtime)) throw invalid(`unknown or invalid runtime name: ${host.runtime}`);
  for (const key of Object.keys(host.annotations)) {
    if (key === "") throw invalid("invalid Annotations: the empty string is not permitted as an annotation key");
  }
  for (const server of host.dns) {
    if (isIP(server) === 0)
      throw invalid(`bad nameserver address ${server}: ParseAddr("${server}"): unable to parse IP`);
  }
  for (const entry of host.extraHosts) checkExtraHost(entry);
  for (const rule of host.resources.deviceCgroupRules) {
    if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(rule))
      throw invalid(`invalid device cgroup rule format: '${rule}'`);
  }
  checkSysctls(host.sysctls, host.networkMode);
}

export function checkMac(mac: string): void {
  if (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac))
    throw invalid(`invalid config for network bridge: invalid MAC address ${mac}`);
}

function checkExtraHost(entry: string): void {
  const colon = entry.indexOf(":");
  if (colon <= 0 || colon === entry.length - 1) throw invalid(`bad format for add-host: "${entry}"`);
  const address = entry.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && isIP(address) === 0) throw invalid(`invalid IP address in add-host: "${address}"`);
}

const ipcSysctls = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;

/** Only what a namespace of the container's own holds may be set; Docker's runtime finds this out at start. */
function checkSysctls(sysctls: Record<string, string>, networkMode: string): void {
  for (const key of Object.keys(sysctls)) {
    if (!/^[a-zA-Z0-9_./-]+$/.test(key) || key.includes("..")) throw invalid(`invalid sysctl name "${key}"`);
    const dotted = key.replaceAll("/", ".");
    if (dotted.startsWith("net.")) {
      if (networkMode === "host") throw invalid(`sysctl "${key}" not allowed in host network namespace`);
    } else if (dotted === "kernel.hostname" || dotted === "kernel.domainname") {
      throw invalid(`sysctl "${key}" is not allowed as it conflicts with the OCI "${dotted.slice(7)}" field`);
    } else if (!ipcSysctls.test(dotted)) {
      throw invalid(`sysctl "${key}" is not in a separate kernel namespace`);
    }
  }
}

/** What is understood and not built yet. Each says what it is. */
function checkNotBuilt({ hostConfig: host, endpoints }: ContainerSpec): void {
  if (host.volumesFrom.length > 0) throw notBuilt("--volumes-from");
  if (!["", "local"].includes(host.volumeDriver)) throw notBuilt(`volume driver "${host.volumeDriver}"`);
  if (Object.keys(host.storageOpt).length > 0) throw notBuilt("--storage-opt");
  const namedGroup = host.groupAdd.find((group) => !/^\d+$/.test(group));
  if (namedGroup !== undefined) throw notBuilt(`--group-add with a name ("${namedGroup}")`);
  const builtIn = ["", "default", "bridge", "none", "host"];
  if (!builtIn.includes(host.networkMode) && containerOf(host.networkMode) === undefined) {
    throw notBuilt(`user-defined networks (--network ${host.networkMode})`);
  }
  for (const endpoint of endpoints) {
    if (!builtIn.includes(endpoint.network) && endpoint.network !== host.networkMode) {
      throw notBuilt(`user-defined networks (${endpoint.network})`);
    }
    if (endpoint.links.length > 0) throw notBuilt("links");
    if (endpoint.ipv6Address !== "") throw notBuilt("IPv6 addresses of containers");
    if (endpoint.ipv4Address !== "") {
      if (!isIPv4(endpoint.ipv4Address)) throw invalid(`invalid IPv4 address: ${endpoint.ipv4Address}`);
      throw invalid("user specified IP address is supported on user defined networks only");
    }
    if (endpoint.macAddress !== "") checkMac(endpoint.macAddress);
  }
}
