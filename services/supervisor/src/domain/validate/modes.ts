import { invalid } from "../errors.ts";
import type { ContainerSpec } from "../model.ts";

export const containerOf = (mode: string): string | undefined =>
  mode.startsWith("container:") ? mode.slice(10) : undefined;

/** Namespace modes and what conflicts with them. Throws INVALID_ARGUMENT with Docker's texts. */
export function checkModes({ config, hostConfig: host }: ContainerSpec): void {
  checkNetworkMode(config, host);
  if (!["", "private", "shareable", "host", "none"].includes(host.ipcMode) && containerOf(host.ipcMode) === undefined) {
    throw invalid(`invalid IPC mode: ${host.ipcMode}`);
  }
  if (!["", "host"].includes(host.pidMode) && !containerOf(host.pidMode))
    throw invalid(`invalid PID mode: ${host.pidMode}`);
  if (!["", "host"].includes(host.utsMode)) throw invalid(`invalid UTS mode: ${host.utsMode}`);
  if (host.utsMode === "host" && config.hostname !== "")
    throw invalid("conflicting options: hostname and the UTS mode");
  if (!["", "host", "private"].includes(host.cgroupnsMode))
    throw invalid(`invalid cgroup namespace mode: ${host.cgroupnsMode}`);
  if (!["", "default"].includes(host.isolation.toLowerCase())) {
    throw invalid(`invalid isolation (${host.isolation}): linux only supports 'default'`);
  }
}

function checkNetworkMode(config: ContainerSpec["config"], host: ContainerSpec["hostConfig"]): void {
  const mode = host.networkMode;
  if (host.links.length > 0) {
    if (mode === "host") throw undefinedLinks("host type networking");
    if (mode.startsWith("container:")) throw undefinedLinks("container type network");
  }
  if (mode === "container" || mode === "container:")
    throw invalid("invalid network mode: invalid container format container:<name|id>");
  if (!mode.startsWith("container:")) return;
  const conflicts: [boolean, string][] = [
    [config.hostname !== "", "hostname and the network mode"],
    [host.dns.length > 0, "dns and the network mode"],
    [host.extraHosts.length > 0, "custom host-to-IP mapping and the network mode"],
    [host.portBindings.length > 0 || host.publishAllPorts, "port publishing and the container type network mode"],
    [config.exposedPorts.length > 0, "port exposing and the container type network mode"],
  ];
  const found = conflicts.find(([present]) => present);
  if (found) throw invalid(`conflicting options: ${found[1]}`);
}

const undefinedLinks = (what: string) =>
  invalid(`conflicting options: ${what} can't be used with links. This would result in undefined behavior`);
