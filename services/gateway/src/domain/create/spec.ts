import { BerthError } from "@berth/errors";
import type { HealthcheckConfig, MergedConfig } from "@berth/oci";
import type { ContainerConfig, ContainerSpec, Healthcheck, HostConfig, Image } from "../../rpc/types.ts";
import type { CreateBody, HostConfigBody } from "./body.ts";
import { endpointsOf } from "./endpoints.ts";
import { emptyPaths, nullPortBindings } from "./given.ts";
import { mountOf } from "./mounts.ts";
import { portBindings } from "./ports.ts";
import { resourcesOf } from "./resources.ts";

/** bytes; Docker's default size of /dev/shm. */
const defaultShm = 64 * 1024 * 1024;

/** What the supervisor is told: the merged settings, typed, with Docker's defaults filled in. */
export function specOf(body: CreateBody, merged: MergedConfig, image: Image | undefined): ContainerSpec {
  const host = body.HostConfig ?? ({} as HostConfigBody);
  if (merged.entrypoint.length === 0 && merged.cmd.length === 0) {
    throw new BerthError("INVALID_ARGUMENT", "no command specified");
  }
  return {
    config: configOf(body, merged),
    hostConfig: hostConfigOf(host),
    endpoints: endpointsOf(body),
    imageId: image?.id ?? "",
    imageManifest:
      image === undefined
        ? undefined
        : { mediaType: "", digest: image.manifestDigest, size: 0, platform: image.platform, annotations: {} },
    layers: image?.layers ?? [],
    platform: image?.platform,
  };
}

function configOf(body: CreateBody, merged: MergedConfig): ContainerConfig {
  return {
    hostname: body.Hostname ?? "",
    domainname: body.Domainname ?? "",
    user: merged.user,
    attachStdin: body.AttachStdin ?? false,
    attachStdout: body.AttachStdout ?? false,
    attachStderr: body.AttachStderr ?? false,
    exposedPorts: merged.exposedPorts,
    tty: body.Tty ?? false,
    openStdin: body.OpenStdin ?? false,
    stdinOnce: body.StdinOnce ?? false,
    env: merged.env,
    cmd: merged.cmd,
    entrypoint: merged.entrypoint,
    image: body.Image ?? "",
    volumes: merged.volumes,
    workingDir: merged.workingDir,
    networkDisabled: body.NetworkDisabled ?? false,
    labels: merged.labels,
    stopSignal: merged.stopSignal,
    stopTimeout: body.StopTimeout,
    shell: merged.shell,
    healthcheck: healthOf(merged.healthcheck),
    argsEscaped: body.ArgsEscaped ?? false,
    onBuild: body.OnBuild ?? [],
    macAddress: body.MacAddress ?? "",
    givenEmpty: emptyPaths({ ...body, HostConfig: undefined, NetworkingConfig: undefined }),
  };
}

function healthOf(check: HealthcheckConfig | undefined): Healthcheck | undefined {
  if (check === undefined) return undefined;
  return {
    test: check.Test ?? [],
    interval: check.Interval ?? 0,
    timeout: check.Timeout ?? 0,
    startPeriod: check.StartPeriod ?? 0,
    startInterval: check.StartInterval ?? 0,
    retries: check.Retries ?? 0,
  };
}

function hostConfigOf(host: HostConfigBody): HostConfig {
  const restart = host.RestartPolicy;
  return {
    binds: host.Binds ?? [],
    mounts: (host.Mounts ?? []).map(mountOf),
    containerIdFile: host.ContainerIDFile ?? "",
    logConfig: { type: host.LogConfig?.Type || "json-file", config: host.LogConfig?.Config ?? {} },
    networkMode: networkMode(host),
    portBindings: portBindings(host.PortBindings ?? {}),
    restartPolicy: { name: restart?.Name || "no", maximumRetryCount: restart?.MaximumRetryCount ?? 0 },
    autoRemove: host.AutoRemove ?? false,
    volumeDriver: host.VolumeDriver ?? "",
    volumesFrom: host.VolumesFrom ?? [],
    consoleSize: consoleSize(host),
    annotations: host.Annotations ?? {},
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    cgroupnsMode: host.CgroupnsMode ?? "",
    dns: host.Dns ?? [],
    dnsOptions: host.DnsOptions ?? [],
    dnsSearch: host.DnsSearch ?? [],
    extraHosts: host.ExtraHosts ?? [],
    groupAdd: host.GroupAdd ?? [],
    ipcMode: host.IpcMode || "private",
    cgroup: host.Cgroup ?? "",
    links: host.Links ?? [],
    oomScoreAdj: host.OomScoreAdj ?? 0,
    pidMode: host.PidMode ?? "",
    privileged: host.Privileged ?? false,
    publishAllPorts: host.PublishAllPorts ?? false,
    readonlyRootfs: host.ReadonlyRootfs ?? false,
    securityOpt: host.SecurityOpt ?? [],
    storageOpt: host.StorageOpt ?? {},
    tmpfs: host.Tmpfs ?? {},
    utsMode: host.UTSMode ?? "",
    usernsMode: host.UsernsMode ?? "",
    shmSize: host.ShmSize || defaultShm,
    sysctls: host.Sysctls ?? {},
    runtime: host.Runtime ?? "",
    isolation: host.Isolation ?? "",
    resources: resourcesOf(host),
    maskedPaths: host.MaskedPaths === undefined ? undefined : { paths: host.MaskedPaths },
    readonlyPaths: host.ReadonlyPaths === undefined ? undefined : { paths: host.ReadonlyPaths },
    init: host.Init,
    givenEmpty: emptyPaths(host),
    nullPortBindings: nullPortBindings(host),
    readOnlyNonRecursive: false,
  };
}

/** Rows and columns: one number more is dropped, one less is 0, as Go reads an array of two. */
function consoleSize({ ConsoleSize: size }: HostConfigBody): number[] {
  return size === undefined ? [] : [size[0] ?? 0, size[1] ?? 0];
}

/** "" and "default" are the default bridge. */
function networkMode(host: HostConfigBody): string {
  const mode = host.NetworkMode ?? "";
  return mode === "" || mode === "default" ? "bridge" : mode;
}
