import { BerthError } from "@berth/errors";
import type { CreateBody, HostConfigBody } from "./body.ts";
import { require } from "./limits.ts";

type Endpoints = NonNullable<NonNullable<CreateBody["NetworkingConfig"]>["EndpointsConfig"]>;
type Endpoint = NonNullable<Endpoints[string]>;

/**
 * What older clients (and deprecated fields) mean, said in today's fields: the body is changed in place. Gives warnings.
 * Engine API: "API version history"; `minor` of version 1.`minor`.
 * @throws INVALID_ARGUMENT, INTERNAL
 */
export function adaptToVersion(body: CreateBody, minor: number): string[] {
  body.HostConfig ??= {} as HostConfigBody;
  const host = body.HostConfig;
  const mode = defaultNetwork(host, body);
  const endpoints = endpointsOf(body);
  // Until 1.25 the client removed the container.
  if (minor < 25) host.AutoRemove = false;
  if (minor < 40) {
    host.KernelMemoryTCP = 0;
    host.IpcMode ||= "shareable";
  }
  if (minor < 42) host.ConsoleSize = [0, 0];
  else host.KernelMemory = 0;
  if (minor < 43) host.Annotations = undefined;
  if (minor < 44) {
    if (body.Healthcheck !== undefined) body.Healthcheck.StartInterval = 0;
    const names = Object.keys(endpoints);
    require(names.length <=
      1, `Container cannot be created with multiple network endpoints: ${names.slice(0, 16).join(", ")}`);
  }
  adaptMounts(host, minor);
  if (minor < 48) for (const endpoint of Object.values(endpoints)) if (endpoint !== null) endpoint.GwPriority = 0;
  return [
    ...volumeDriver(host, minor),
    ...macAddress(body, mode, endpoints, minor),
    ...interfaceSysctls(host, mode, endpoints, minor),
  ];
}

/** "" and "default" are the default bridge; settings under "default" are then the bridge's. */
function defaultNetwork(host: HostConfigBody, body: CreateBody): string {
  const mode = host.NetworkMode ?? "";
  if (mode !== "" && mode !== "default") return mode;
  host.NetworkMode = "bridge";
  const endpoints = endpointsOf(body);
  const settings = endpoints["default"];
  if (settings !== undefined) {
    endpoints["bridge"] = settings;
    delete endpoints["default"];
  }
  return "bridge";
}

function endpointsOf(body: CreateBody): Endpoints {
  body.NetworkingConfig ??= { EndpointsConfig: {} };
  body.NetworkingConfig.EndpointsConfig ??= {};
  return body.NetworkingConfig.EndpointsConfig;
}

function adaptMounts(host: HostConfigBody, minor: number): void {
  for (const mount of host.Mounts ?? []) {
    const { BindOptions: bind, VolumeOptions: volume } = mount;
    if (minor < 40 && bind !== undefined) bind.NonRecursive = false;
    if (minor < 42) {
      if (bind !== undefined) bind.CreateMountpoint = false;
      if (mount.Type !== "volume") mount.VolumeOptions = undefined;
      if (mount.Type !== "tmpfs") mount.TmpfsOptions = undefined;
    } else {
      refuseForeignOptions(mount);
    }
    require(minor >= 44 ||
      mount.Type !== "bind" ||
      bind?.ReadOnlyForceRecursive !== true, "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    if (minor < 44 && bind !== undefined) bind.ReadOnlyNonRecursive = false;
    require(minor >= 45 || !volume?.Subpath, "VolumeOptions.Subpath needs API v1.45 or newer");
    require(minor >= 48 || mount.Type !== "image", 'Mount type "Image" needs API v1.48 or newer');
  }
}

function refuseForeignOptions(mount: NonNullable<HostConfigBody["Mounts"]>[number]): void {
  const type = mount.Type ?? "";
  const given = { Volume: mount.VolumeOptions, Bind: mount.BindOptions, Tmpfs: mount.TmpfsOptions };
  for (const [kind, options] of Object.entries(given)) {
    require(options === undefined ||
      type === kind.toLowerCase(), `${kind}Options must not be specified on mount type "${type}"`);
  }
}

function volumeDriver(host: HostConfigBody, minor: number): string[] {
  if (!host.VolumeDriver || minor < 48) return [];
  const isAmbiguous = (host.Mounts ?? []).some(
    (mount) => mount.Type === "volume" && !mount.VolumeOptions?.DriverConfig?.Name,
  );
  if (!isAmbiguous) return [];
  return [
    "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead",
  ];
}

/** The container-wide MAC address became one of an endpoint in 1.44. */
function macAddress(body: CreateBody, mode: string, endpoints: Endpoints, minor: number): string[] {
  const address = body.MacAddress ?? "";
  if (minor < 44 && address === "") {
    for (const endpoint of Object.values(endpoints)) if (endpoint !== null) endpoint.MacAddress = "";
  }
  if (address === "") return [];
  const takesAddress = mode !== "host" && mode !== "none" && !mode.startsWith("container:");
  require(minor >= 44 || takesAddress, "conflicting options: mac-address and the network mode");
  if (takesAddress) {
    const endpoint = endpointFor(
      mode,
      endpoints,
      minor,
      "unable to migrate container-wide MAC address to a specific network",
    );
    require(minor < 44 ||
      !endpoint.MacAddress ||
      endpoint.MacAddress ===
        address, "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty");
    endpoint.MacAddress = address;
  }
  body.MacAddress = "";
  if (minor < 44) return [];
  return ["The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."];
}

const endpointSysctls = "com.docker.network.endpoint.sysctls";

/** "net.ipv4.conf.eth0.x" names an interface that is there only once the network is: it goes to the endpoint. */
function interfaceSysctls(host: HostConfigBody, mode: string, endpoints: Endpoints, minor: number): string[] {
  if (mode === "host" || mode.startsWith("container:")) return [];
  const keys = Object.keys(host.Sysctls ?? {}).filter((key) => /^net\.[^.]*\.[^.]*\.eth[^.]*\../.test(key));
  const moved: string[] = [];
  for (const key of keys) {
    const [, family, kind, name, ...rest] = key.split(".");
    if (minor > 47) {
      throw new BerthError(
        "INTERNAL",
        `interface specific sysctl setting "${key}" must be supplied using driver option '${endpointSysctls}'`,
      );
    }
    if (name !== "eth0") {
      throw new BerthError(
        "INTERNAL",
        `unable to determine network endpoint for sysctl ${key}, use driver option '${endpointSysctls}' to set per-interface sysctls`,
      );
    }
    moved.push(`net.${family}.${kind}.IFNAME.${rest.join(".")}=${host.Sysctls?.[key]}`);
  }
  if (moved.length === 0) return [];
  const endpoint = endpointFor(mode, endpoints, minor, `unable to find a network for sysctl ${keys[0]}`);
  endpoint.DriverOpts ??= {};
  const before = endpoint.DriverOpts[endpointSysctls];
  const text = moved.join(",");
  endpoint.DriverOpts[endpointSysctls] = before === undefined ? text : `${text},${before}`;
  for (const key of keys) delete host.Sysctls?.[key];
  return [`Migrated sysctl "${keys.join(",")}" to DriverOpts{"${endpointSysctls}":"${text}"}.`];
}

/** The settings of the network that NetworkMode names; made when there are none at all. */
function endpointFor(mode: string, endpoints: Endpoints, minor: number, failure: string): Endpoint {
  const found = endpoints[mode];
  if (found !== undefined && found !== null) return found;
  const others = Object.keys(endpoints);
  if (others.length > 0) {
    const [other = ""] = others;
    if (minor < 44 && endpoints[other]) return endpoints[other];
    throw new BerthError(
      "INVALID_ARGUMENT",
      `${failure}: HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks`,
    );
  }
  const made = {} as Endpoint;
  endpoints[mode] = made;
  return made;
}
