import type { Container, Healthcheck, HostConfig, MountSpec, Resources } from "../rpc/types.ts";

/** Go prints lists that were never set as null. */
export function orNull<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

/** Lists as they were given: an empty one is shown as such, one that was not given as null. */
class Lists {
  readonly #empty: ReadonlySet<string>;

  constructor(givenEmpty: readonly string[]) {
    this.#empty = new Set(givenEmpty);
  }

  has(path: string): boolean {
    return this.#empty.has(path);
  }

  of<T>(path: string, list: readonly T[]): readonly T[] | null {
    return list.length === 0 && !this.#empty.has(path) ? null : list;
  }

  /** Keys of a map whose values are empty lists. */
  below(map: string): string[] {
    return [...this.#empty].filter((path) => path.startsWith(`${map}.`)).map((path) => path.slice(map.length + 1));
  }
}

/** The container-wide address is that of the main network's settings, for clients from before they had one. */
function macAddress(container: Container): { MacAddress?: string } {
  const mode = container.spec?.hostConfig?.networkMode ?? "";
  const address =
    container.spec?.endpoints.find(({ network }) => network === mode)?.macAddress || container.spec?.config?.macAddress;
  return address ? { MacAddress: address } : {};
}

function deviceRequestsJson(limits: Resources, lists: Lists): unknown {
  const requests = limits.deviceRequests.map((request, index) => ({
    Driver: request.driver,
    Count: request.count,
    DeviceIDs: lists.of(`DeviceRequests.${index}.DeviceIDs`, request.deviceIds),
    Capabilities: lists.of(
      `DeviceRequests.${index}.Capabilities`,
      request.capabilities.map(({ names }) => names),
    ),
    Options:
      Object.keys(request.options).length === 0 && !lists.has(`DeviceRequests.${index}.Options`)
        ? null
        : request.options,
  }));
  return lists.of("DeviceRequests", requests);
}

/** The "Config" of GET /containers/{id}/json. */
export function configJson(container: Container): Record<string, unknown> {
  const config = container.spec?.config;
  if (config === undefined) return {};
  const lists = new Lists(config.givenEmpty);
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
    Env: lists.of("Env", config.env),
    Cmd: lists.of("Cmd", config.cmd),
    ...(config.healthcheck === undefined ? {} : { Healthcheck: healthJson(config.healthcheck) }),
    ...(config.argsEscaped ? { ArgsEscaped: true } : {}),
    Image: config.image,
    Volumes: config.volumes.length === 0 ? null : setOf(config.volumes),
    WorkingDir: config.workingDir,
    Entrypoint: lists.of("Entrypoint", config.entrypoint),
    ...(config.networkDisabled ? { NetworkDisabled: true } : {}),
    ...macAddress(container),
    OnBuild: lists.of("OnBuild", config.onBuild),
    Labels: config.labels,
    ...(config.stopSignal === "" ? {} : { StopSignal: config.stopSignal }),
    ...(config.stopTimeout === undefined ? {} : { StopTimeout: config.stopTimeout }),
    ...(config.shell.length === 0 ? {} : { Shell: config.shell }),
  };
}

function setOf(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}

function healthJson(check: Healthcheck): Record<string, unknown> {
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
export function hostConfigJson(host: HostConfig | undefined): Record<string, unknown> {
  if (host === undefined) return {};
  const lists = new Lists(host.givenEmpty);
  return {
    Binds: lists.of("Binds", host.binds),
    ContainerIDFile: host.containerIdFile,
    LogConfig: { Type: host.logConfig?.type || "json-file", Config: host.logConfig?.config ?? {} },
    NetworkMode: host.networkMode || "bridge",
    PortBindings: portBindingsJson(host, lists),
    RestartPolicy: {
      Name: host.restartPolicy?.name || "no",
      MaximumRetryCount: host.restartPolicy?.maximumRetryCount ?? 0,
    },
    AutoRemove: host.autoRemove,
    VolumeDriver: host.volumeDriver,
    VolumesFrom: lists.of("VolumesFrom", host.volumesFrom),
    ConsoleSize: host.consoleSize.length === 2 ? host.consoleSize : [0, 0],
    ...(Object.keys(host.annotations).length === 0 ? {} : { Annotations: host.annotations }),
    CapAdd: lists.of("CapAdd", host.capAdd),
    CapDrop: lists.of("CapDrop", host.capDrop),
    CgroupnsMode: host.cgroupnsMode,
    Dns: lists.of("Dns", host.dns),
    DnsOptions: lists.of("DnsOptions", host.dnsOptions),
    DnsSearch: lists.of("DnsSearch", host.dnsSearch),
    ExtraHosts: lists.of("ExtraHosts", host.extraHosts),
    GroupAdd: lists.of("GroupAdd", host.groupAdd),
    IpcMode: host.ipcMode || "private",
    Cgroup: host.cgroup,
    Links: orNull(host.links),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: lists.of("SecurityOpt", host.securityOpt),
    ...(Object.keys(host.storageOpt).length === 0 ? {} : { StorageOpt: host.storageOpt }),
    ...(Object.keys(host.tmpfs).length === 0 ? {} : { Tmpfs: host.tmpfs }),
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSize,
    ...(Object.keys(host.sysctls).length === 0 ? {} : { Sysctls: host.sysctls }),
    Runtime: host.runtime || "runc",
    Isolation: host.isolation,
    ...resourcesJson(host.resources, lists),
    ...(host.mounts.length === 0 ? {} : { Mounts: host.mounts.map(mountJson) }),
    MaskedPaths: host.maskedPaths?.paths ?? null,
    ReadonlyPaths: host.readonlyPaths?.paths ?? null,
    ...(host.init === undefined ? {} : { Init: host.init }),
  };
}

type Bindings = Record<string, { HostIp: string; HostPort: string }[] | null>;

function portBindingsJson(host: HostConfig, lists: Lists): Bindings | null {
  const result: Bindings = {};
  for (const port of host.nullPortBindings) result[port] = null;
  for (const port of lists.below("PortBindings")) result[port] = [];
  for (const { containerPort, hostIp, hostPort } of host.portBindings) {
    const list = result[containerPort] ?? [];
    result[containerPort] = list;
    list.push({ HostIp: hostIp, HostPort: hostPort });
  }
  return Object.keys(result).length === 0 && !lists.has("PortBindings") ? null : result;
}

function resourcesJson(limits: Resources | undefined, lists: Lists): Record<string, unknown> {
  if (limits === undefined) return {};
  const devices = (name: string, list: Resources["blkioWeightDevice"], field: string) =>
    lists.of(
      name,
      list.map(({ path, value }) => ({ Path: path, [field]: value })),
    );
  return {
    CpuShares: limits.cpuShares,
    Memory: limits.memory,
    NanoCpus: limits.nanoCpus,
    CgroupParent: limits.cgroupParent,
    BlkioWeight: limits.blkioWeight,
    BlkioWeightDevice: devices("BlkioWeightDevice", limits.blkioWeightDevice, "Weight"),
    BlkioDeviceReadBps: devices("BlkioDeviceReadBps", limits.blkioDeviceReadBps, "Rate"),
    BlkioDeviceWriteBps: devices("BlkioDeviceWriteBps", limits.blkioDeviceWriteBps, "Rate"),
    BlkioDeviceReadIOps: devices("BlkioDeviceReadIOps", limits.blkioDeviceReadIops, "Rate"),
    BlkioDeviceWriteIOps: devices("BlkioDeviceWriteIOps", limits.blkioDeviceWriteIops, "Rate"),
    CpuPeriod: limits.cpuPeriod,
    CpuQuota: limits.cpuQuota,
    CpuRealtimePeriod: limits.cpuRealtimePeriod,
    CpuRealtimeRuntime: limits.cpuRealtimeRuntime,
    CpusetCpus: limits.cpusetCpus,
    CpusetMems: limits.cpusetMems,
    Devices: lists.of(
      "Devices",
      limits.devices.map((device) => ({
        PathOnHost: device.pathOnHost,
        PathInContainer: device.pathInContainer,
        CgroupPermissions: device.cgroupPermissions,
      })),
    ),
    DeviceCgroupRules: lists.of("DeviceCgroupRules", limits.deviceCgroupRules),
    DeviceRequests: deviceRequestsJson(limits, lists),
    ...(limits.kernelMemory === 0 ? {} : { KernelMemory: limits.kernelMemory }),
    ...(limits.kernelMemoryTcp === 0 ? {} : { KernelMemoryTCP: limits.kernelMemoryTcp }),
    MemoryReservation: limits.memoryReservation,
    MemorySwap: limits.memorySwap,
    MemorySwappiness: limits.memorySwappiness ?? null,
    OomKillDisable: limits.oomKillDisable ?? false,
    PidsLimit: limits.pidsLimit === undefined || limits.pidsLimit < 0 ? null : limits.pidsLimit,
    Ulimits: lists.of(
      "Ulimits",
      limits.ulimits.map(({ name, soft, hard }) => ({ Name: name, Hard: hard, Soft: soft })),
    ),
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
    ...(mount.readOnlyNonRecursive ? { ReadOnlyNonRecursive: true } : {}),
    ...(mount.readOnlyForceRecursive ? { ReadOnlyForceRecursive: true } : {}),
  };
  const volume = {
    ...(mount.noCopy ? { NoCopy: true } : {}),
    ...(Object.keys(mount.labels).length === 0 ? {} : { Labels: mount.labels }),
    ...(mount.subpath === "" ? {} : { Subpath: mount.subpath }),
    ...(mount.driver === "" && Object.keys(mount.driverOptions).length === 0
      ? {}
      : {
          DriverConfig: {
            ...(mount.driver === "" ? {} : { Name: mount.driver }),
            ...(Object.keys(mount.driverOptions).length === 0 ? {} : { Options: mount.driverOptions }),
          },
        }),
  };
  const tmpfs = {
    ...(mount.tmpfsSize === 0 ? {} : { SizeBytes: mount.tmpfsSize }),
    ...(mount.tmpfsMode === 0 ? {} : { Mode: mount.tmpfsMode }),
    ...(mount.tmpfsFlags.length === 0 ? {} : { Options: mount.tmpfsFlags.map((flag) => flag.split(/=(.*)/s, 2)) }),
  };
  return {
    Type: mount.type,
    ...(mount.source === "" ? {} : { Source: mount.source }),
    Target: mount.target,
    ...(mount.readOnly ? { ReadOnly: true } : {}),
    ...(mount.consistency === "" ? {} : { Consistency: mount.consistency }),
    ...(Object.keys(bind).length === 0 ? {} : { BindOptions: bind }),
    ...(mount.type === "volume" && Object.keys(volume).length > 0 ? { VolumeOptions: volume } : {}),
    ...(mount.type === "image" && mount.subpath !== "" ? { ImageOptions: { Subpath: mount.subpath } } : {}),
    ...(mount.type === "tmpfs" && Object.keys(tmpfs).length > 0 ? { TmpfsOptions: tmpfs } : {}),
  };
}
