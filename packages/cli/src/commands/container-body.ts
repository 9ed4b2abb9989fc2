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
  const aliases = flags.list("network-alias");
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
    Labels: pairs(flags.list("label"), true),
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
      LogConfig: { Type: flags.text("log-driver") ?? "", Config: pairs(flags.list("log-opt")) },
      ...namespaces(flags),
      ...security(flags),
      ...limits(flags),
      ...network_(flags),
    },
    NetworkingConfig: { EndpointsConfig: aliases.length === 0 ? {} : { [network]: { Aliases: aliases } } },
  };
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

function variables(flags: Parsed): string[] {
  const fromFiles = flags.list("env-file").flatMap((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.trimStart())
      .filter((line) => line !== "" && !line.startsWith("#")),
  );
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
    Devices: flags.list("device").map(device),
    DeviceCgroupRules: flags.list("device-cgroup-rule"),
  };
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
