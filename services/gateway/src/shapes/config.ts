import type { Container, Healthcheck, HostConfig, MountSpec, Resources } from "../rpc/types.ts";

/** Go prints lists that were never set as null. */
export function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

function mapOrNull(map: Record<string, string>): Record<string, string> | null {
  return Object.keys(map).length === 0 ? null : map;
}

/** Docker's defaults (oci/defaults), shown for containers that name none of their own. */
const maskedPaths = [
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
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** The "Config" of GET /containers/{id}/json. */
export function configJson(container: Container, minor: number): Record<string, unknown> {
  const config = container.spec?.config;
  if (config === undefined) return {};
  return {
    Hostname: config.hostname || container.id.slice(0, 12),
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ...(config.exposedPorts.length === 0 ? {} : { ExposedPorts: setOf(config.exposedPorts) }),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: orNull(config.env),
    Cmd: orNull(config.cmd),
    ...(config.healthcheck === undefined ? {} : { Healthcheck: healthJson(config.healthcheck) }),
    ...(config.argsEscaped ? { ArgsEscaped: true } : {}),
    Image: config.image,
    Volumes: config.volumes.length === 0 ? null : setOf(config.volumes),
    WorkingDir: config.workingDir,
    Entrypoint: orNull(config.entrypoint),
    ...(config.networkDisabled ? { NetworkDisabled: true } : {}),
    ...(config.macAddress !== "" || minor < 44 ? { MacAddress: config.macAddress } : {}),
    OnBuild: orNull(config.onBuild),
    Labels: config.labels,
    ...(config.stopSignal === "" ? {} : { StopSignal: config.stopSignal }),
    ...(config.stopTimeout === undefined ? {} : { StopTimeout: config.stopTimeout }),
    ...(config.shell.length === 0 ? {} : { Shell: config.shell }),
  };
}

function setOf(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

export function healthJson(check: Healthcheck): Record<string, unknown> {
  return {
    ...(check.test.length === 0 ? {} : { Test: check.test }),
    ...(check.interval === 0 ? {} : { Interval: check.interval }),
    ...(check.timeout === 0 ? {} : { Timeout: check.timeout }),
    ...(check.startPeriod === 0 ? {} : { StartPeriod: check.startPeriod }),
    ...(check.startInterval === 0 ? {} : { StartInterval: check.startInterval }),
    ...(check.retries === 0 ? {} : { Retries: check.retries }),
  };
}

/** The "HostConfig" of GET /containers/{id}/json, every field that clients read. */
export function hostConfigJson(host: HostConfig | undefined, minor: number): Record<string, unknown> {
  if (host === undefined) return {};
  return {
    Binds: orNull(host.binds),
    ContainerIDFile: host.containerIdFile,
    LogConfig: { Type: host.logConfig?.type || "json-file", Config: host.logConfig?.config ?? {} },
    NetworkMode: host.networkMode || "bridge",
    PortBindings: portBindingsJson(host),
    RestartPolicy: {
      Name: host.restartPolicy?.name || "no",
      MaximumRetryCount: host.restartPolicy?.maximumRetryCount ?? 0,
    },
    AutoRemove: host.autoRemove,
    VolumeDriver: host.volumeDriver,
    VolumesFrom: orNull(host.volumesFrom),
    ConsoleSize: host.consoleSize.length === 2 ? host.consoleSize : [0, 0],
    ...(Object.keys(host.annotations).length === 0 ? {} : { Annotations: host.annotations }),
    CapAdd: orNull(host.capAdd),
    CapDrop: orNull(host.capDrop),
    CgroupnsMode: host.cgroupnsMode,
    Dns: host.dns,
    DnsOptions: host.dnsOptions,
    DnsSearch: host.dnsSearch,
    ExtraHosts: orNull(host.extraHosts),
    GroupAdd: orNull(host.groupAdd),
    IpcMode: host.ipcMode || "private",
    Cgroup: host.cgroup,
    Links: orNull(host.links),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    ...(Object.keys(host.storageOpt).length === 0 ? {} : { StorageOpt: host.storageOpt }),
    ...(Object.keys(host.tmpfs).length === 0 ? {} : { Tmpfs: host.tmpfs }),
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSize,
    ...(Object.keys(host.sysctls).length === 0 ? {} : { Sysctls: host.sysctls }),
    Runtime: host.runtime || "berth",
    Isolation: host.isolation,
    ...resourcesJson(host.resources, minor),
    ...(host.mounts.length === 0 ? {} : { Mounts: host.mounts.map(mountJson) }),
    MaskedPaths: host.privileged ? null : (host.maskedPaths?.paths ?? maskedPaths),
    ReadonlyPaths: host.privileged ? null : (host.readonlyPaths?.paths ?? readonlyPaths),
    ...(host.init === undefined ? {} : { Init: host.init }),
  };
}

function portBindingsJson(host: HostConfig): Record<string, { HostIp: string; HostPort: string }[]> {
  const result: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { containerPort, hostIp, hostPort } of host.portBindings) {
    const list = result[containerPort] ?? [];
    result[containerPort] = list;
    list.push({ HostIp: hostIp, HostPort: hostPort });
  }
  return result;
}

function resourcesJson(limits: Resources | undefined, minor: number): Record<string, unknown> {
  if (limits === undefined) return {};
  const devices = (list: Resources["blkioWeightDevice"], field: string) =>
    list.map(({ path, value }) => ({ Path: path, [field]: value }));
  return {
    CpuShares: limits.cpuShares,
    Memory: limits.memory,
    NanoCpus: limits.nanoCpus,
    CgroupParent: limits.cgroupParent,
    BlkioWeight: limits.blkioWeight,
    BlkioWeightDevice: devices(limits.blkioWeightDevice, "Weight"),
    BlkioDeviceReadBps: devices(limits.blkioDeviceReadBps, "Rate"),
    BlkioDeviceWriteBps: devices(limits.blkioDeviceWriteBps, "Rate"),
    BlkioDeviceReadIOps: devices(limits.blkioDeviceReadIops, "Rate"),
    BlkioDeviceWriteIOps: devices(limits.blkioDeviceWriteIops, "Rate"),
    CpuPeriod: limits.cpuPeriod,
    CpuQuota: limits.cpuQuota,
    CpuRealtimePeriod: limits.cpuRealtimePeriod,
    CpuRealtimeRuntime: limits.cpuRealtimeRuntime,
    CpusetCpus: limits.cpusetCpus,
    CpusetMems: limits.cpusetMems,
    Devices: limits.devices.map((device) => ({
      PathOnHost: device.pathOnHost,
      PathInContainer: device.pathInContainer,
      CgroupPermissions: device.cgroupPermissions,
    })),
    DeviceCgroupRules: orNull(limits.deviceCgroupRules),
    DeviceRequests: null,
    ...(minor < 42 ? { KernelMemory: 0, KernelMemoryTCP: limits.kernelMemoryTcp } : {}),
    MemoryReservation: limits.memoryReservation,
    MemorySwap: limits.memorySwap,
    MemorySwappiness: limits.memorySwappiness ?? null,
    OomKillDisable: limits.oomKillDisable ?? false,
    PidsLimit: limits.pidsLimit === undefined || limits.pidsLimit <= 0 ? null : limits.pidsLimit,
    Ulimits: limits.ulimits.map(({ name, soft, hard }) => ({ Name: name, Hard: hard, Soft: soft })),
    CpuCount: limits.cpuCount,
    CpuPercent: limits.cpuPercent,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

function mountJson(mount: MountSpec): Record<string, unknown> {
  const bind = {
    ...(mount.propagation === "" ? {} : { Propagation: mount.propagation }),
    ...(mount.nonRecursive ? { NonRecursive: true } : {}),
    ...(mount.createMountpoint ? { CreateMountpoint: true } : {}),
  };
  const volume = {
    ...(mount.noCopy ? { NoCopy: true } : {}),
    ...(Object.keys(mount.labels).length === 0 ? {} : { Labels: mount.labels }),
    ...(mount.subpath === "" ? {} : { Subpath: mount.subpath }),
    ...(mount.driver === ""
      ? {}
      : { DriverConfig: { Name: mount.driver, Options: mapOrNull(mount.driverOptions) ?? undefined } }),
  };
  const tmpfs = {
    ...(mount.tmpfsSize === 0 ? {} : { SizeBytes: mount.tmpfsSize }),
    ...(mount.tmpfsMode === 0 ? {} : { Mode: mount.tmpfsMode }),
  };
  return {
    Type: mount.type,
    ...(mount.source === "" ? {} : { Source: mount.source }),
    Target: mount.target,
    ...(mount.readOnly ? { ReadOnly: true } : {}),
    ...(mount.consistency === "" ? {} : { Consistency: mount.consistency }),
    ...(Object.keys(bind).length === 0 ? {} : { BindOptions: bind }),
    ...(mount.type === "volume" && Object.keys(volume).length > 0 ? { VolumeOptions: volume } : {}),
    ...(mount.type === "tmpfs" && Object.keys(tmpfs).length > 0 ? { TmpfsOptions: tmpfs } : {}),
  };
}
