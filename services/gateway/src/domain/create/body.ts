import {
  type Decoded,
  flag,
  int,
  int64,
  list,
  map,
  named,
  nullable,
  set,
  struct,
  text,
  uint,
  uint16,
  uint64,
  words,
} from "../../json/decode.ts";

/** The bodies of POST /containers/create and /containers/{id}/update (Engine API, "ContainerConfig", "HostConfig"). */

const duration = named("time.Duration", int64);

const healthcheck = struct("container.HealthConfig", {
  Test: list(text),
  Interval: duration,
  Timeout: duration,
  StartPeriod: duration,
  StartInterval: duration,
  Retries: int,
});

const weightDevice = struct("blkiodev.WeightDevice", { Path: text, Weight: uint16 });
const throttleDevice = struct("blkiodev.ThrottleDevice", { Path: text, Rate: uint64 });

const resources = {
  CpuShares: int64,
  Memory: int64,
  NanoCpus: int64,
  CgroupParent: text,
  BlkioWeight: uint16,
  BlkioWeightDevice: list(weightDevice),
  BlkioDeviceReadBps: list(throttleDevice),
  BlkioDeviceWriteBps: list(throttleDevice),
  BlkioDeviceReadIOps: list(throttleDevice),
  BlkioDeviceWriteIOps: list(throttleDevice),
  CpuPeriod: int64,
  CpuQuota: int64,
  CpuRealtimePeriod: int64,
  CpuRealtimeRuntime: int64,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: list(
    struct("container.DeviceMapping", { PathOnHost: text, PathInContainer: text, CgroupPermissions: text }),
  ),
  DeviceCgroupRules: list(text),
  DeviceRequests: list(
    struct("container.DeviceRequest", {
      Driver: text,
      Count: int,
      DeviceIDs: list(text),
      Capabilities: list(list(text)),
      Options: map(text),
    }),
  ),
  KernelMemory: int64,
  KernelMemoryTCP: int64,
  MemoryReservation: int64,
  MemorySwap: int64,
  MemorySwappiness: int64,
  OomKillDisable: flag,
  PidsLimit: int64,
  Ulimits: list(struct("units.Ulimit", { Name: text, Soft: int64, Hard: int64 })),
  CpuCount: int64,
  CpuPercent: int64,
  IOMaximumIOps: uint64,
  IOMaximumBandwidth: uint64,
};

const restartPolicy = struct("container.RestartPolicy", {
  Name: named("container.RestartPolicyMode", text),
  MaximumRetryCount: int,
});

const mount = struct("mount.Mount", {
  Type: named("mount.Type", text),
  Source: text,
  Target: text,
  ReadOnly: flag,
  Consistency: named("mount.Consistency", text),
  BindOptions: struct("mount.BindOptions", {
    Propagation: named("mount.Propagation", text),
    NonRecursive: flag,
    CreateMountpoint: flag,
    ReadOnlyNonRecursive: flag,
    ReadOnlyForceRecursive: flag,
  }),
  VolumeOptions: struct("mount.VolumeOptions", {
    NoCopy: flag,
    Labels: map(text),
    Subpath: text,
    DriverConfig: struct("mount.Driver", { Name: text, Options: map(text) }),
  }),
  ImageOptions: struct("mount.ImageOptions", { Subpath: text }),
  TmpfsOptions: struct("mount.TmpfsOptions", {
    SizeBytes: int64,
    Mode: named("fs.FileMode", uint),
    Options: list(list(text)),
  }),
});

const hostConfig = struct("container.HostConfig", {
  ...resources,
  Binds: list(text),
  ContainerIDFile: text,
  LogConfig: struct("container.LogConfig", { Type: text, Config: map(text) }),
  NetworkMode: named("container.NetworkMode", text),
  PortBindings: map(nullable(list(struct("nat.PortBinding", { HostIp: text, HostPort: text })))),
  RestartPolicy: restartPolicy,
  AutoRemove: flag,
  VolumeDriver: text,
  VolumesFrom: list(text),
  ConsoleSize: list(uint),
  Annotations: map(text),
  CapAdd: words,
  CapDrop: words,
  CgroupnsMode: named("container.CgroupnsMode", text),
  Dns: list(text),
  DnsOptions: list(text),
  DnsSearch: list(text),
  ExtraHosts: list(text),
  GroupAdd: list(text),
  IpcMode: named("container.IpcMode", text),
  Cgroup: text,
  Links: list(text),
  OomScoreAdj: int,
  PidMode: named("container.PidMode", text),
  Privileged: flag,
  PublishAllPorts: flag,
  ReadonlyRootfs: flag,
  SecurityOpt: list(text),
  StorageOpt: map(text),
  Tmpfs: map(text),
  UTSMode: named("container.UTSMode", text),
  UsernsMode: named("container.UsernsMode", text),
  ShmSize: int64,
  Sysctls: map(text),
  Runtime: text,
  Isolation: named("container.Isolation", text),
  Mounts: list(mount),
  MaskedPaths: list(text),
  ReadonlyPaths: list(text),
  Init: flag,
});

const endpointSettings = struct("network.EndpointSettings", {
  IPAMConfig: struct("network.EndpointIPAMConfig", { IPv4Address: text, IPv6Address: text, LinkLocalIPs: list(text) }),
  Links: list(text),
  Aliases: list(text),
  MacAddress: text,
  DriverOpts: map(text),
  GwPriority: int,
  NetworkID: text,
});

export const createRequest = nullable(
  struct("container.CreateRequest", {
    Hostname: text,
    Domainname: text,
    User: text,
    AttachStdin: flag,
    AttachStdout: flag,
    AttachStderr: flag,
    ExposedPorts: set("nat.PortSet"),
    Tty: flag,
    OpenStdin: flag,
    StdinOnce: flag,
    Env: list(text),
    Cmd: words,
    Healthcheck: healthcheck,
    ArgsEscaped: flag,
    Image: text,
    Volumes: set(),
    WorkingDir: text,
    Entrypoint: words,
    NetworkDisabled: flag,
    MacAddress: text,
    OnBuild: list(text),
    Labels: map(text),
    StopSignal: text,
    StopTimeout: int,
    Shell: words,
    HostConfig: hostConfig,
    NetworkingConfig: struct("network.NetworkingConfig", { EndpointsConfig: map(nullable(endpointSettings)) }),
  }),
);

export const updateRequest = struct("UpdateConfig", { ...resources, RestartPolicy: restartPolicy });

export type CreateBody = NonNullable<Decoded<typeof createRequest>>;
export type HostConfigBody = NonNullable<CreateBody["HostConfig"]>;
export type MountBody = NonNullable<HostConfigBody["Mounts"]>[number];
export type HealthcheckBody = NonNullable<CreateBody["Healthcheck"]>;
export type ResourcesBody = { [K in keyof typeof resources]: Decoded<(typeof resources)[K]> | undefined };
