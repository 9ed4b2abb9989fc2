import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Parsed, UsageError } from "../flags.ts";
import { parseBytes, parseNanos } from "../output/human.ts";
import { mountOf } from "./mounts.ts";
import { publishedPorts } from "./publish.ts";

type Json = Record<string, unknown>;

/** The Engine API's create body from the flags of run and create. @throws UsageError */
export function containerBody(flags: Parsed, image: string, cmd: readonly string[], isRun: boolean): Json {
  const attached = attachedStreams(flags, isRun && flags.bool("detach"));
  const { bindings, exposed } = publishedPorts(flags.list("publish"), flags.list("expose"));
  const entrypoint = flags.text("entrypoint");
  const network = flags.text("network") ?? flags.text("net") ?? "default";
  const binds = flags.list("volume").filter((volume) => volume.includes(":"));
  const volumes = flags.list("volume").filter((volume) => !volume.includes(":"));
  return {
    Image: image,
    Cmd: cmd.length === 0 ? null : cmd,
    Entrypoint: entrypoint === undefined ? null : [entrypoint],
    Hostname: flags.text("hostname") ?? "",
    Domainname: flags.text("domainname") ?? "",
    User: flags.text("user") ?? "",
    ...attached,
    Tty: flags.bool("tty"),
    OpenStdin: flags.bool("interactive"),
    StdinOnce: flags.bool("interactive") && !(isRun && flags.bool("detach")),
    Env: variables(flags),
    Labels: pairs([...flags.list("label-file").flatMap(linesOf), ...flags.list("label")], true),
    WorkingDir: flags.text("workdir") ?? "",
    ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])),
    Volumes: Object.fromEntries(volumes.map((path) => [path, {}])),
    Healthcheck: healthcheck(flags),
    MacAddress: flags.text("mac-address") ?? "",
    ...(flags.has("stop-signal") ? { StopSignal: flags.text("stop-signal") } : {}),
    ...(flags.has("stop-timeout") ? { StopTimeout: flags.int("stop-timeout") } : {}),
    HostConfig: {
      Binds: binds.map(absoluteBind),
      Mounts: flags.list("mount").map(mountOf),
      NetworkMode: network,
      PortBindings: bindings,
      PublishAllPorts: flags.bool("publish-all"),
      RestartPolicy: restartPolicy(flags.text("restart")),
      AutoRemove: flags.bool("rm"),
      Annotations: pairs(flags.list("annotation")),
      Links: flags.list("link"),
      StorageOpt: pairs(flags.list("storage-opt")),
      VolumeDriver: flags.text("volume-driver") ?? "",
      Isolation: flags.text("isolation") ?? "",
      LogConfig: { Type: flags.text("log-driver") ?? "", Config: pairs(flags.list("log-opt")) },
      ...namespaces(flags),
      ...security(flags),
      ...limits(flags),
      ...network_(flags),
    },
    NetworkingConfig: { EndpointsConfig: endpoints(flags, network) },
  };
}

/** Settings of the one network, when there are any. */
function endpoints(flags: Parsed, network: string): Json {
  const aliases = flags.list("network-alias");
  const local = flags.list("link-local-ip");
  const addresses = {
    ...(flags.has("ip") ? { IPv4Address: flags.text("ip") } : {}),
    ...(flags.has("ip6") ? { IPv6Address: flags.text("ip6") } : {}),
    ...(local.length === 0 ? {} : { LinkLocalIPs: local }),
  };
  const settings = {
    ...(aliases.length === 0 ? {} : { Aliases: aliases }),
    ...(Object.keys(addresses).length === 0 ? {} : { IPAMConfig: addresses }),
  };
  return Object.keys(settings).length === 0 ? {} : { [network]: settings };
}

/** A file of variables or labels: a line each, without comments. @throws UsageError */
function linesOf(file: string): string[] {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
  return content
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function attachedStreams(flags: Parsed, isDetached: boolean): Json {
  const named = flags.list("attach").map((name) => name.toLowerCase());
  if (isDetached) return { AttachStdin: false, AttachStdout: false, AttachStderr: false };
  if (named.length > 0) {
    return {
      AttachStdin: named.includes("stdin"),
      AttachStdout: named.includes("stdout"),
      AttachStderr: named.includes("stderr"),
    };
  }
  return { AttachStdin: flags.bool("interactive"), AttachStdout: true, AttachStderr: true };
}

/** The variables of --env-file and --env, "NAME=value" each. @throws UsageError for a file that can't be read */
export function variables(flags: Parsed): string[] {
  const fromFiles = flags.list("env-file").flatMap(linesOf);
  // A name alone passes our own value on, if there is one.
  return [...fromFiles, ...flags.list("env")].flatMap((variable) => {
    if (variable.includes("=")) return [variable];
    const own = process.env[variable];
    return own === undefined ? [] : [`${variable}=${own}`];
  });
}

function pairs(list: readonly string[], allowBare = false): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const [key = "", value] = text.split(/=(.*)/s);
      if (value === undefined && !allowBare) throw new UsageError(`"${text}" is not valid, expected key=value`);
      return [key, value ?? ""];
    }),
  );
}

/** "./dir:/x" is relative to here, for people; the engine wants absolute paths. */
function absoluteBind(bind: string): string {
  return bind.startsWith(".") || bind.startsWith("~") ? bind.replace(/^[^:]+/, (source) => resolve(source)) : bind;
}

export function restartPolicy(text: string | undefined): Json {
  const [name = "no", count] = (text ?? "no").split(":");
  if (count !== undefined && !/^[0-9]+$/.test(count))
    throw new UsageError(`invalid restart policy "${text}": expected a number after the colon`);
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}

function healthcheck(flags: Parsed): Json | undefined {
  const cmd = flags.text("health-cmd");
  const timed = ["health-interval", "health-timeout", "health-start-period", "health-start-interval"] as const;
  const isGiven = cmd !== undefined || timed.some((name) => flags.has(name)) || flags.has("health-retries");
  if (flags.bool("no-healthcheck")) {
    if (isGiven) throw new UsageError("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (!isGiven) return undefined;
  return {
    ...(cmd === undefined ? {} : { Test: ["CMD-SHELL", cmd] }),
    Interval: nanos(flags, "health-interval"),
    Timeout: nanos(flags, "health-timeout"),
    StartPeriod: nanos(flags, "health-start-period"),
    StartInterval: nanos(flags, "health-start-interval"),
    Retries: flags.int("health-retries") ?? 0,
  };
}

function nanos(flags: Parsed, name: string): number {
  const text = flags.text(name) ?? "0";
  const value = parseNanos(text);
  if (value === undefined)
    throw new UsageError(`invalid argument "${text}" for "--${name}": expected a duration such as 1m30s`);
  return value;
}

function namespaces(flags: Parsed): Json {
  return {
    CgroupnsMode: flags.text("cgroupns") ?? "",
    IpcMode: flags.text("ipc") ?? "",
    PidMode: flags.text("pid") ?? "",
    UTSMode: flags.text("uts") ?? "",
    UsernsMode: flags.text("userns") ?? "",
  };
}

function security(flags: Parsed): Json {
  return {
    CapAdd: flags.list("cap-add"),
    CapDrop: flags.list("cap-drop"),
    GroupAdd: flags.list("group-add"),
    Privileged: flags.bool("privileged"),
    ReadonlyRootfs: flags.bool("read-only"),
    SecurityOpt: flags.list("security-opt"),
    Runtime: flags.text("runtime") ?? "",
    Sysctls: pairs(flags.list("sysctl")),
    Tmpfs: Object.fromEntries(
      flags
        .list("tmpfs")
        .map((text) => text.split(/:(.*)/s).slice(0, 2) as [string, string])
        .map(([path, options = ""]) => [path, options]),
    ),
    VolumesFrom: flags.list("volumes-from"),
    VolumeDriver: flags.text("volume-driver") ?? "",
    ...(flags.has("init") ? { Init: flags.bool("init") } : {}),
  };
}

function network_(flags: Parsed): Json {
  return {
    Dns: flags.list("dns"),
    DnsOptions: flags.list("dns-option"),
    DnsSearch: flags.list("dns-search"),
    ExtraHosts: flags.list("add-host").map((entry) => entry.replace("=", ":")),
  };
}

function limits(flags: Parsed): Json {
  return {
    Memory: bytes(flags, "memory"),
    MemoryReservation: bytes(flags, "memory-reservation"),
    MemorySwap: bytes(flags, "memory-swap"),
    ...(flags.has("memory-swappiness") ? { MemorySwappiness: flags.int("memory-swappiness") } : {}),
    ShmSize: bytes(flags, "shm-size"),
    NanoCpus: cpus(flags.text("cpus")),
    CpuShares: flags.int("cpu-shares") ?? 0,
    CpuPeriod: flags.int("cpu-period") ?? 0,
    CpuQuota: flags.int("cpu-quota") ?? 0,
    CpusetCpus: flags.text("cpuset-cpus") ?? "",
    CpusetMems: flags.text("cpuset-mems") ?? "",
    CgroupParent: flags.text("cgroup-parent") ?? "",
    ...(flags.has("pids-limit") ? { PidsLimit: flags.int("pids-limit") } : {}),
    OomKillDisable: flags.bool("oom-kill-disable"),
    OomScoreAdj: flags.int("oom-score-adj") ?? 0,
    Ulimits: flags.list("ulimit").map(ulimit),
    Devices: flags
      .list("device")
      .filter((text) => !isCdiName(text))
      .map(device),
    DeviceCgroupRules: flags.list("device-cgroup-rule"),
    DeviceRequests: deviceRequests(flags),
    BlkioWeight: flags.int("blkio-weight") ?? 0,
    BlkioWeightDevice: deviceValues(flags, "blkio-weight-device").map(([Path, text]) => ({
      Path,
      Weight: Number(text),
    })),
    BlkioDeviceReadBps: rates(flags, "device-read-bps"),
    BlkioDeviceWriteBps: rates(flags, "device-write-bps"),
    BlkioDeviceReadIOps: rates(flags, "device-read-iops"),
    BlkioDeviceWriteIOps: rates(flags, "device-write-iops"),
    CpuRealtimePeriod: flags.int("cpu-rt-period") ?? 0,
    CpuRealtimeRuntime: flags.int("cpu-rt-runtime") ?? 0,
  };
}

/** "vendor/class=name": a device that a CDI spec describes, not a path. */
const isCdiName = (text: string): boolean => /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=[\w.:-]+$/.test(text);

function deviceRequests(flags: Parsed): Json[] {
  const names = flags.list("device").filter(isCdiName);
  const gpus = flags.text("gpus");
  return [
    ...(names.length === 0 ? [] : [{ Driver: "cdi", DeviceIDs: names }]),
    ...(gpus === undefined ? [] : [gpuRequest(gpus)]),
  ];
}

/** "all", "2", or fields by commas: "device=0", "count=2", "driver=x", "capabilities=a". */
function gpuRequest(text: string): Json {
  const request = { Driver: "", Count: 0, DeviceIDs: [] as string[], Capabilities: [["gpu"]], Options: {} };
  for (const field of text.replaceAll('"', "").split(",")) {
    const [key = "", value] = field.split(/=(.*)/s);
    if (value === undefined || key === "count") {
      const count = value ?? key;
      if (count !== "all" && !/^[0-9]+$/.test(count)) throw new UsageError(`invalid count "${count}" for "--gpus"`);
      request.Count = count === "all" ? -1 : Number(count);
    } else if (key === "device") request.DeviceIDs.push(value);
    else if (key === "driver") request.Driver = value;
    else if (key === "capabilities") request.Capabilities = [["gpu", value]];
    else throw new UsageError(`unexpected key "${key}" in "--gpus"`);
  }
  if (request.Count === 0 && request.DeviceIDs.length === 0) request.Count = 1;
  return request;
}

/** "PATH:VALUE" of each. @throws UsageError */
function deviceValues(flags: Parsed, name: string): [path: string, value: string][] {
  return flags.list(name).map((text) => {
    const match = /^(\/.+):([^:]+)$/.exec(text);
    if (match === null) throw new UsageError(`invalid argument "${text}" for "--${name}": expected PATH:VALUE`);
    return [match[1] as string, match[2] as string];
  });
}

function rates(flags: Parsed, name: string): Json[] {
  return deviceValues(flags, name).map(([Path, text]) => {
    const Rate = name.endsWith("bps") ? parseBytes(text) : Number(text);
    if (Rate === undefined || !Number.isInteger(Rate) || Rate < 0)
      throw new UsageError(`invalid argument "${text}" for "--${name}": expected a number`);
    return { Path, Rate };
  });
}

export function bytes(flags: Parsed, name: string): number {
  const text = flags.text(name);
  if (text === undefined) return 0;
  const value = parseBytes(text);
  if (value === undefined)
    throw new UsageError(`invalid argument "${text}" for "--${name}": expected a size such as 64m`);
  return value;
}

export function cpus(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^[0-9]*\.?[0-9]+$/.test(text))
    throw new UsageError(`invalid argument "${text}" for "--cpus": expected a number`);
  return Math.round(Number(text) * 1e9);
}

function ulimit(text: string): Json {
  const match = /^([a-z]+)=(-?[0-9]+)(?::(-?[0-9]+))?$/.exec(text);
  if (match === null) throw new UsageError(`invalid ulimit "${text}", expected name=soft[:hard]`);
  return { Name: match[1], Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
}

function device(text: string): Json {
  const [host = "", second, third] = text.split(":");
  const isMode = second !== undefined && /^[rwm]+$/.test(second);
  return {
    PathOnHost: host,
    PathInContainer: second === undefined || isMode ? host : second,
    CgroupPermissions: third ?? (isMode ? second : "rwm"),
  };
}
