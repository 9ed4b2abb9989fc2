import { isIP } from "node:net";
import type { CreateBody, HealthcheckBody, HostConfigBody } from "./body.ts";
import { checkPlatformLimits, checkResources, checkRestartPolicy, require } from "./limits.ts";
import { checkMount } from "./mounts.ts";
import { checkPortBindings } from "./ports.ts";
import { isStopSignal } from "./signals.ts";

const namePattern = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** characters; a name becomes a host name, a file name and part of a NATS key. */
const maxName = 255;

/** @throws INVALID_ARGUMENT */
export function checkName(name: string): void {
  if (name === "") return;
  require(namePattern.test(name) &&
    name.length <=
      maxName, `Invalid container name (${name.slice(0, maxName)}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
}

/**
 * Checks a create body in the order Docker does, with its texts. What depends on the node (devices, mounts' sources,
 * CPUs, capabilities the kernel knows, networks) the supervisor checks.
 * @throws INVALID_ARGUMENT, NOT_IMPLEMENTED
 */
export function checkCreate(body: CreateBody): void {
  const host = body.HostConfig;
  checkConfig(body);
  if (host !== undefined) checkHostConfig(host);
}

/** What Docker refuses while it reads the body, whatever the version. @throws INVALID_ARGUMENT */
export function checkBeforeAll({ HostConfig: host }: CreateBody): void {
  if (host === undefined) return;
  require(host.NetworkMode !== "container" &&
    host.NetworkMode !== "container:", "invalid network mode: invalid container format container:<name|id>");
  const isolation = host.Isolation ?? "";
  require(isolation === "" ||
    isolation.toLowerCase() === "default", `invalid isolation (${isolation}): linux only supports 'default'`);
  checkPlatformLimits(host);
}

function checkConfig(body: CreateBody): void {
  const directory = body.WorkingDir ?? "";
  require(directory === "" ||
    directory.startsWith("/"), `the working directory '${directory}' is invalid, it needs to be an absolute path`);
  for (const variable of body.Env ?? []) {
    require(variable !== "" && !variable.startsWith("="), `invalid environment variable: ${variable}`);
  }
  if (body.Healthcheck !== undefined) checkHealth(body.Healthcheck);
  const signal = body.StopSignal ?? "";
  require(signal === "" || isStopSignal(signal), `invalid signal: ${signal}`);
}

function checkHealth(check: HealthcheckBody): void {
  const durations = {
    Interval: check.Interval,
    Timeout: check.Timeout,
    StartPeriod: check.StartPeriod,
    StartInterval: check.StartInterval,
  };
  for (const [name, value = 0] of Object.entries(durations)) {
    require(value === 0 || value >= 1_000_000, `${name} in Healthcheck cannot be less than 1ms`);
  }
  require((check.Retries ?? 0) >= 0, "Retries in Healthcheck cannot be negative");
}

function checkHostConfig(host: HostConfigBody): void {
  const restart = host.RestartPolicy ?? { Name: "", MaximumRetryCount: 0 };
  require(!(
    host.AutoRemove === true && !["", "no", undefined].includes(restart.Name)
  ), "can't create 'AutoRemove' container with restart policy");
  for (const entry of host.ExtraHosts ?? []) checkExtraHost(entry);
  checkPortBindings(host.PortBindings ?? {});
  checkRestartPolicy(restart);
  checkCapabilities(host);
  checkModes(host);
  require((host.ShmSize ?? 0) >= 0, "SHM size can not be less than 0");
  const oom = host.OomScoreAdj ?? 0;
  require(oom >= -1000 && oom <= 1000, `Invalid value ${oom}, range for oom score adj is [-1000, 1000]`);
  for (const key of Object.keys(host.Annotations ?? {})) {
    require(key !== "", "invalid Annotations: the empty string is not permitted as an annotation key");
  }
  for (const mount of host.Mounts ?? []) checkMount(mount);
  for (const target of Object.keys(host.Tmpfs ?? {})) {
    require(target.startsWith("/"), `invalid mount path: '${target}' mount path must be absolute`);
  }
  checkResources(host);
}

function checkExtraHost(entry: string): void {
  const separator = entry.indexOf(":");
  require(separator > 0, `bad format for add-host: "${entry}"`);
  const address = entry.slice(separator + 1);
  require(address === "host-gateway" ||
    isIP(address) !== 0, `invalid IP address in add-host: "${entry.slice(separator + 1)}"`);
}

function checkModes(host: HostConfigBody): void {
  const ipc = host.IpcMode ?? "";
  require(["", "none", "private", "shareable", "host"].includes(ipc) ||
    ipc.startsWith("container:"), `invalid IPC mode: ${ipc}`);
  const pid = host.PidMode ?? "";
  require(pid === "" || pid === "host" || /^container:.+/.test(pid), `invalid PID mode: ${pid}`);
  const uts = host.UTSMode ?? "";
  require(uts === "" || uts === "host", `invalid UTS mode: ${uts}`);
  const cgroup = host.CgroupnsMode ?? "";
  require(["", "host", "private"].includes(cgroup), `invalid cgroup namespace mode: ${cgroup}`);
}

/** capabilities(7), by number. */
const capabilities = new Set(
  (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
  ).split(" "),
);

/** "net_admin" and "CAP_NET_ADMIN" are one; "ALL" is all. */
export function normalizeCapability(name: string): string {
  const upper = name.trim().toUpperCase();
  if (upper === "ALL") return "ALL";
  return upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

function checkCapabilities(host: HostConfigBody): void {
  for (const field of ["CapAdd", "CapDrop"] as const) {
    for (const name of host[field] ?? []) {
      const normal = normalizeCapability(name);
      const known = normal === "ALL" || capabilities.has(normal.slice(4));
      require(known, `invalid ${field}: unknown capability: "${normal}"`);
    }
  }
}
