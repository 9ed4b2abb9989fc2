import { hostname } from "node:os";
import type { HostFacts } from "../host.ts";
import type { ContainerSpec } from "../model.ts";

/** Hidden (masked) and read-only paths of a container, Docker's defaults. */
const defaultMaskedPaths = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
] as const;
const defaultReadonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] as const;
const defaultShmSize = 64 * 1024 * 1024;

/** Fills in what Docker fills in at create, so that inspect shows it and start needs no second look. Changes `spec`. */
export function applyDefaults(spec: ContainerSpec, id: string, facts: HostFacts, defaultRuntime = "runc"): void {
  const { config, hostConfig: host } = spec;
  const { resources } = host;
  if (host.networkMode === "" || host.networkMode === "default")
    host.networkMode = config.networkDisabled ? "none" : "bridge";
  if (config.hostname === "" && !host.networkMode.startsWith("container:")) {
    config.hostname = host.networkMode === "host" ? hostname() : id.slice(0, 12);
  }
  if (host.shmSize === 0) host.shmSize = defaultShmSize;
  if (host.ipcMode === "") host.ipcMode = "private";
  if (host.cgroupnsMode === "") host.cgroupnsMode = facts.cgroup.version === 2 && !host.privileged ? "private" : "host";
  if (host.runtime === "") host.runtime = defaultRuntime;
  if (host.logConfig.type === "") host.logConfig.type = "json-file";
  if (host.restartPolicy.name === "") host.restartPolicy.name = "no";
  if (host.consoleSize.length !== 2) host.consoleSize = [0, 0];
  if (resources.memory > 0 && resources.memorySwap === 0) resources.memorySwap = resources.memory * 2;
  if (resources.pidsLimit !== undefined && resources.pidsLimit <= 0) resources.pidsLimit = undefined;
  resources.oomKillDisable ??= false;
  const sharesHost = host.privileged || host.ipcMode === "host" || host.pidMode === "host";
  if (sharesHost && !host.securityOpt.some((option) => option.split("=")[0] === "label"))
    host.securityOpt.push("label=disable");
  if (host.privileged) return;
  host.maskedPaths ??= { paths: [...defaultMaskedPaths] };
  host.readonlyPaths ??= { paths: [...defaultReadonlyPaths] };
}
