/**
 * What a container is made from and what is kept of it. Field meanings are the Engine API's (POST /containers/create,
 * GET /containers/{id}/json) where no comment says otherwise; the shapes follow proto/berth/containers/v1/spec.proto.
 */

export interface Healthcheck {
  test: string[];
  /** nanoseconds */
  interval: number;
  timeout: number;
  startPeriod: number;
  startInterval: number;
  retries: number;
}

export interface ContainerConfig {
  hostname: string;
  domainname: string;
  user: string;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  /** "80/tcp" */
  exposedPorts: string[];
  tty: boolean;
  openStdin: boolean;
  stdinOnce: boolean;
  env: string[];
  cmd: string[];
  entrypoint: string[];
  image: string;
  volumes: string[];
  workingDir: string;
  networkDisabled: boolean;
  labels: Record<string, string>;
  stopSignal: string;
  /** seconds */
  stopTimeout?: number | undefined;
  shell: string[];
  healthcheck: Healthcheck | undefined;
  argsEscaped: boolean;
  onBuild: string[];
  macAddress: string;
  /** Names of lists that were given and are empty, for inspect. */
  givenEmpty: string[];
}

export interface MountSpec {
  type: string;
  source: string;
  target: string;
  readOnly: boolean;
  consistency: string;
  propagation: string;
  nonRecursive: boolean;
  createMountpoint: boolean;
  noCopy: boolean;
  subpath: string;
  labels: Record<string, string>;
  driver: string;
  driverOptions: Record<string, string>;
  /** bytes */
  tmpfsSize: number;
  tmpfsMode: number;
  readOnlyNonRecursive: boolean;
  readOnlyForceRecursive: boolean;
  /** "exec", "noexec" */
  tmpfsFlags: string[];
  /** Of an image mount: what the source means. */
  imageId: string;
  imageLayers: Layer[];
}

export interface LogConfig {
  type: string;
  config: Record<string, string>;
}

export interface PortBinding {
  containerPort: string;
  hostIp: string;
  hostPort: string;
}

export interface RestartPolicy {
  name: string;
  maximumRetryCount: number;
}

export interface BlkioDevice {
  path: string;
  value: number;
}

export interface DeviceMapping {
  pathOnHost: string;
  pathInContainer: string;
  cgroupPermissions: string;
}

export interface Ulimit {
  name: string;
  soft: number;
  hard: number;
}

export interface Resources {
  cpuShares: number;
  nanoCpus: number;
  cpuPeriod: number;
  cpuQuota: number;
  cpuRealtimePeriod: number;
  cpuRealtimeRuntime: number;
  cpusetCpus: string;
  cpusetMems: string;
  /** bytes */
  memory: number;
  memoryReservation: number;
  memorySwap: number;
  memorySwappiness?: number | undefined;
  oomKillDisable?: boolean | undefined;
  pidsLimit?: number | undefined;
  blkioWeight: number;
  blkioWeightDevice: BlkioDevice[];
  blkioDeviceReadBps: BlkioDevice[];
  blkioDeviceWriteBps: BlkioDevice[];
  blkioDeviceReadIops: BlkioDevice[];
  blkioDeviceWriteIops: BlkioDevice[];
  devices: DeviceMapping[];
  deviceCgroupRules: string[];
  ulimits: Ulimit[];
  cgroupParent: string;
  kernelMemoryTcp: number;
  cpuCount: number;
  cpuPercent: number;
  /** bytes */
  kernelMemory: number;
  deviceRequests: DeviceRequest[];
}

export interface DeviceRequest {
  driver: string;
  /** -1: all */
  count: number;
  deviceIds: string[];
  capabilities: { names: string[] }[];
  options: Record<string, string>;
}

export interface PathList {
  paths: string[];
}

export interface HostConfig {
  binds: string[];
  mounts: MountSpec[];
  containerIdFile: string;
  logConfig: LogConfig;
  networkMode: string;
  portBindings: PortBinding[];
  restartPolicy: RestartPolicy;
  autoRemove: boolean;
  volumeDriver: string;
  volumesFrom: string[];
  consoleSize: number[];
  annotations: Record<string, string>;
  capAdd: string[];
  capDrop: string[];
  cgroupnsMode: string;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  extraHosts: string[];
  groupAdd: string[];
  ipcMode: string;
  cgroup: string;
  links: string[];
  oomScoreAdj: number;
  pidMode: string;
  privileged: boolean;
  publishAllPorts: boolean;
  readonlyRootfs: boolean;
  securityOpt: string[];
  storageOpt: Record<string, string>;
  tmpfs: Record<string, string>;
  utsMode: string;
  usernsMode: string;
  /** bytes */
  shmSize: number;
  sysctls: Record<string, string>;
  runtime: string;
  isolation: string;
  resources: Resources;
  /** Absent: the engine's defaults. */
  maskedPaths: PathList | undefined;
  readonlyPaths: PathList | undefined;
  init?: boolean | undefined;
  givenEmpty: string[];
  nullPortBindings: string[];
  /** A read-only bind leaves what is mounted below it writable. Absent in records from before it was asked. */
  readOnlyNonRecursive?: boolean;
}

export interface EndpointSpec {
  network: string;
  macAddress: string;
  ipv4Address: string;
  ipv6Address: string;
  aliases: string[];
  links: string[];
  driverOptions: Record<string, string>;
  gatewayPriority: number;
  linkLocalIps: string[];
}

export interface Platform {
  os: string;
  architecture: string;
  variant: string;
  osVersion: string;
}

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform: Platform | undefined;
  annotations: Record<string, string>;
}

export interface Layer {
  blob: Descriptor | undefined;
  diffId: string;
  chainId: string;
}

export interface ContainerSpec {
  config: ContainerConfig;
  hostConfig: HostConfig;
  endpoints: EndpointSpec[];
  imageId: string;
  imageManifest: Descriptor | undefined;
  /** Bottom first. */
  layers: Layer[];
  platform: Platform | undefined;
}

/** A mount that makes up the root file system, as the snapshotter gives it. */
export interface RootfsMount {
  type: string;
  source: string;
  options: string[];
  base: string;
}

/** One mount of a container, made out at its creation: all that a start needs. */
export interface MountPoint {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** The volume's; of an image, as the user named it. */
  name: string;
  source: string;
  destination: string;
  driver: string;
  /** As the user gave it. */
  mode: string;
  rw: boolean;
  propagation: string;
  /** Of a volume: goes with its container, when asked to. */
  anonymous: boolean;
  /** Of a bind: with what is mounted below its source. */
  recursive: boolean;
  /** Of a read-only one: whether that holds for what is mounted below it too ("", as far as the kernel can). */
  readOnlyRecursion: "" | "no" | "force";
  /** Of a bind: the directory is made on the host when it is missing. */
  createSource: boolean;
  /** What of the volume or image is mounted; empty: all. */
  subpath: string;
  noCopy: boolean;
  tmpfsOptions: string[];
  /** Of a volume: what its driver knows this use by. */
  mountId: string;
  /** Of an image: the snapshotter's view on it. */
  view: ImageView | undefined;
}

export interface ImageView {
  key: string;
  imageId: string;
  layers: Layer[];
  mount: RootfsMount;
}

/** Engine API, "Volume". Null is not the same as empty to clients. */
export interface VolumeRecord {
  v: 1;
  name: string;
  driver: string;
  labels: Record<string, string> | null;
  options: Record<string, string> | null;
  /** RFC 3339, whole seconds. */
  created: string;
}

export interface PublishedPort {
  /** "80/tcp" */
  containerPort: string;
  hostIp: string;
  /** 0: exposed, not published. */
  hostPort: number;
}

/** A container's place in a network while it runs. */
export interface Endpoint {
  network: string;
  networkId: string;
  endpointId: string;
  /** The host's end of the veth pair; empty for networks without one. */
  hostInterface: string;
  gateway: string;
  ipAddress: string;
  ipPrefixLen: number;
  macAddress: string;
  aliases: string[];
}

export const statuses = ["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const;
export type Status = (typeof statuses)[number];

export interface ContainerState {
  status: Status;
  pid: number;
  monitorPid: number;
  exitCode: number;
  error: string;
  oomKilled: boolean;
  /** RFC 3339 with nanoseconds; empty: never. */
  startedAt: string;
  finishedAt: string;
  /** Once a run of the container has had a health check. */
  health?: Health;
}

export interface HealthResult {
  /** RFC 3339 with nanoseconds. */
  start: string;
  end: string;
  /** -1: the probe could not be run or took too long. */
  exitCode: number;
  output: string;
}

/** What the health check found; Docker's State.Health. */
export interface Health {
  status: "starting" | "healthy" | "unhealthy";
  failingStreak: number;
  /** The last five, oldest first. */
  log: HealthResult[];
}

export interface LinkRecord {
  /** The linking container's name for the other one. */
  alias: string;
  containerId: string;
}

export interface ContainerRecord {
  v: 1;
  id: string;
  /** Without a leading slash. */
  name: string;
  spec: ContainerSpec;
  /** RFC 3339 with nanoseconds. */
  created: string;
  path: string;
  args: string[];
  state: ContainerState;
  restartCount: number;
  hasBeenManuallyStopped: boolean;
  hasBeenStartedBefore: boolean;
  /** A start was begun under this boot of the host and nothing after it has been recorded yet. */
  starting: boolean;
  rootfs: RootfsMount[];
  /** Directories of the root file system, top first. */
  layerDirs: string[];
  mounts: MountPoint[];
  endpoints: Endpoint[];
  ports: PublishedPort[];
  /** --link: of the default bridge. Absent in records from before there were any. */
  links?: LinkRecord[];
  /** Whose files in /etc it has, since its last start: of the container that made the network it joined. Absent: its own. */
  etcFilesOf?: string;
  idempotencyKey: string;
  /** Of the request that made it, when that had a key of the client's. */
  requestDigest?: string;
  /** Removal has been asked for: finish it, whatever else. */
  removing: boolean;
  /** It is frozen by nobody's wish but for the time of a commit. */
  pausedForCommit?: boolean;
  /** It is on its way to another node. */
  departure?: Departure;
  /** It came from another node, and may yet go back. */
  arrival?: Arrival;
}

/** A container that is held here until its name tells who has it. */
export interface Departure {
  /** Node ids and their names. */
  to: string;
  toName: string;
  /** RFC 3339 with nanoseconds. */
  since: string;
  /** It is to run again, there or here. */
  ran: boolean;
  hasBeenManuallyStopped: boolean;
  /** Volumes that go with it. */
  volumes: string[];
  /** Nothing is missing there: from now on the other node may have taken it over. */
  sent: boolean;
  /** It stays, and is being started again. */
  staying: boolean;
}

/** The other node keeps its own copy until this one has shown that it can run here. */
export interface Arrival {
  from: string;
  fromName: string;
  ran: boolean;
}

/** A container that is being brought here: none of this node's yet. */
export interface ImportRecord {
  v: 1;
  record: ContainerRecord & { arrival: Arrival };
  volumes: VolumeRecord[];
  /** How far its log has been sent. */
  shipped?: number | undefined;
  /** Of its name's entry; see Names.transfer. */
  revision: number;
  /** All of it is on the disk. */
  whole: boolean;
}

export interface ExecRecord {
  v: 1;
  id: string;
  containerId: string;
  cmd: string[];
  env: string[];
  user: string;
  workingDir: string;
  tty: boolean;
  privileged: boolean;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  detachKeys: string;
  /** rows, columns; empty or two numbers */
  consoleSize: number[];
  started: boolean;
  running: boolean;
  exitCode: number | null;
  pid: number;
  /** Of a health check: kept while it runs, so that a supervisor started anew can end it. */
  probe?: true;
}
