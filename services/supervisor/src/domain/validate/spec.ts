import { isIP } from "node:net";
import { invalid } from "../errors.ts";
import type { HostFacts } from "../host.ts";
import { checkLogConfig } from "../logs/options/validate.ts";
import type { ContainerSpec } from "../model.ts";
import { checkVolumesFrom, type MountRequest, parseRequests } from "../mounts/requests.ts";
import { checkModes } from "./modes.ts";
import { checkPortBindings } from "./ports.ts";
import { checkResources } from "./resources.ts";
import { checkRestartPolicy } from "./restart.ts";
import { normalizeCapability, parseSecurityOptions } from "./security.ts";
import { parseSignal } from "./signals.ts";

/** Bounds on what one container may list: far above any use, far below what would hurt. */
const maxEntries = 4096;
/** Every port of every protocol. */
const maxPorts = 3 * 65_535;
const maxName = 4096;
const maxArgumentBytes = 1 << 20;

export interface CheckedSpec {
  warnings: string[];
  mounts: MountRequest[];
}

/** Checks a whole spec before anything is made. May take out what the host can't do (and warn). Throws INVALID_ARGUMENT, NOT_IMPLEMENTED. */
export function checkSpec(spec: ContainerSpec, facts: HostFacts): CheckedSpec {
  const { hostConfig: host } = spec;
  checkBounds(spec);
  checkConfig(spec);
  checkModes(spec);
  checkRestartPolicy(host.restartPolicy);
  if (host.autoRemove && !["", "no"].includes(host.restartPolicy.name)) {
    throw invalid("can't create 'AutoRemove' container with restart policy");
  }
  for (const name of host.capAdd) normalizeCapability(name, "CapAdd");
  for (const name of host.capDrop) normalizeCapability(name, "CapDrop");
  checkLogConfig(host.logConfig);
  checkPortBindings(host);
  const mounts = parseRequests(host);
  for (const text of host.volumesFrom) checkVolumesFrom(text);
  const warnings = checkResources(host.resources, facts);
  if (host.networkMode === "host" && host.portBindings.length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  parseSecurityOptions(host.securityOpt);
  return { warnings, mounts };
}

function checkBounds({ config, hostConfig: host, layers }: ContainerSpec): void {
  const lists: [string, { length: number }][] = [
    ["Env", config.env],
    ["Cmd", config.cmd],
    ["Entrypoint", config.entrypoint],
    ["Binds", host.binds],
    ["Mounts", host.mounts],
    ["Volumes", config.volumes],
    ["VolumesFrom", host.volumesFrom],
    ["Tmpfs", Object.keys(host.tmpfs)],
    ["ExtraHosts", host.extraHosts],
    ["Devices", host.resources.devices],
    ["Labels", Object.keys(config.labels)],
    ["Sysctls", Object.keys(host.sysctls)],
    ["layers", layers],
  ];
  for (const [name, list] of lists) checkLength(name, list, maxEntries);
  checkLength("ExposedPorts", config.exposedPorts, maxPorts);
  checkLength("PortBindings", host.portBindings, maxPorts);
  const bytes = [...config.env, ...config.cmd, ...config.entrypoint].reduce((sum, text) => sum + text.length, 0);
  if (bytes > maxArgumentBytes)
    throw invalid(`arguments and environment have ${bytes} characters, at most ${maxArgumentBytes} are allowed`);
}

function checkLength(name: string, { length }: { length: number }, most: number): void {
  if (length > most) throw invalid(`${name} has ${length} entries, at most ${most} are allowed`);
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
  // Far above the kernel's bound, which start finds out.
  if (config.hostname.length > maxName || config.domainname.length > maxName)
    throw invalid(`host and domain name: at most ${maxName} characters are allowed`);
  if (config.macAddress !== "") checkMac(config.macAddress);
  if (host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000) {
    throw invalid(`Invalid value ${host.oomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
  if (host.shmSize < 0) throw invalid("SHM size can not be less than 0");
  for (const key of Object.keys(host.annotations)) {
    if (key === "") throw invalid("invalid Annotations: the empty string is not permitted as an annotation key");
  }
  for (const entry of host.extraHosts) checkExtraHost(entry);
}

function checkMac(mac: string): void {
  if (!/^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i.test(mac))
    throw invalid(`invalid config for network bridge: invalid MAC address ${mac}`);
}

function checkExtraHost(entry: string): void {
  const colon = entry.indexOf(":");
  if (colon <= 0 || colon === entry.length - 1) throw invalid(`bad format for add-host: "${entry}"`);
  const address = entry.slice(colon + 1);
  if (address !== "host-gateway" && isIP(address) === 0) throw invalid(`invalid IP address in add-host: "${address}"`);
}
