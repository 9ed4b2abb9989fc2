import type {
  Container,
  ContainerState,
  ContainerSummary,
  Endpoint,
  EndpointSpec,
  Health,
  Network,
  PublishedPort,
} from "../rpc/types.ts";
import { ContainerStatus } from "../rpc/types.ts";
import { configJson, hostConfigJson, orNull } from "./config.ts";
import { rfc3339 } from "./time.ts";

const statusNames: Record<number, string> = {
  [ContainerStatus.CREATED]: "created",
  [ContainerStatus.RUNNING]: "running",
  [ContainerStatus.PAUSED]: "paused",
  [ContainerStatus.RESTARTING]: "restarting",
  [ContainerStatus.REMOVING]: "removing",
  [ContainerStatus.EXITED]: "exited",
  [ContainerStatus.DEAD]: "dead",
  [ContainerStatus.UNREACHABLE]: "unreachable",
};

export function statusName(state: ContainerState | undefined): string {
  return statusNames[state?.status ?? 0] ?? "created";
}

/** GET /containers/{id}/json */
export function inspectJson(container: Container, minor: number): Record<string, unknown> {
  const spec = container.spec;
  return {
    Id: container.id,
    Created: rfc3339(container.created),
    Path: container.path,
    Args: container.args,
    State: stateJson(container.state),
    Image: spec?.imageId ?? "",
    ResolvConfPath: container.resolvConfPath,
    HostnamePath: container.hostnamePath,
    HostsPath: container.hostsPath,
    LogPath: container.logPath,
    Name: `/${container.name}`,
    RestartCount: container.restartCount,
    Driver: container.driver || "overlay2",
    Platform: spec?.platform?.os || "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: appArmorOf(container),
    ExecIDs: orNull(container.execIds),
    HostConfig: hostConfigJson(spec?.hostConfig),
    GraphDriver: graphDriver(container),
    ...(container.sizeRw === undefined ? {} : { SizeRw: container.sizeRw }),
    ...(container.sizeRootFs === undefined ? {} : { SizeRootFs: container.sizeRootFs }),
    ...(spec?.imageManifest?.digest && minor >= 48 ? { ImageManifestDescriptor: manifestJson(container) } : {}),
    Mounts: mountsJson(container),
    Config: configJson(container),
    NetworkSettings: networkSettings(container),
    // An engine of several nodes says which; Swarm's classic clients read the same place.
    Node: { ID: container.nodeId, Name: container.nodeName },
  };
}

/** The last --security-opt apparmor=…. */
function appArmorOf(container: Container): string {
  const options = container.spec?.hostConfig?.securityOpt ?? [];
  return options.findLast((option) => /^apparmor[=:]/.test(option))?.slice("apparmor=".length) ?? "";
}

function manifestJson(container: Container): unknown {
  const manifest = container.spec?.imageManifest;
  const platform = container.spec?.platform;
  return {
    mediaType: manifest?.mediaType || "application/vnd.oci.image.manifest.v1+json",
    digest: manifest?.digest ?? "",
    size: manifest?.size ?? 0,
    ...(platform === undefined ? {} : { platform: { architecture: platform.architecture, os: platform.os } }),
  };
}

function stateJson(state: ContainerState | undefined): Record<string, unknown> {
  const name = statusName(state);
  const status = state?.status;
  const isPaused = status === ContainerStatus.PAUSED;
  const isRestarting = status === ContainerStatus.RESTARTING;
  return {
    Status: name,
    Running: status === ContainerStatus.RUNNING || isPaused || isRestarting,
    Paused: isPaused,
    Restarting: isRestarting,
    OOMKilled: state?.oomKilled ?? false,
    Dead: status === ContainerStatus.DEAD,
    Pid: state?.pid ?? 0,
    ExitCode: state?.exitCode ?? 0,
    Error: state?.error ?? "",
    StartedAt: rfc3339(state?.startedAt),
    FinishedAt: rfc3339(state?.finishedAt),
    ...(state?.health === undefined ? {} : { Health: stateHealthJson(state.health) }),
  };
}

function stateHealthJson({ status, failingStreak, log }: Health): Record<string, unknown> {
  return {
    Status: status,
    FailingStreak: failingStreak,
    Log: log.map(({ start, end, exitCode, output }) => ({
      Start: rfc3339(start),
      End: rfc3339(end),
      ExitCode: exitCode,
      Output: output,
    })),
  };
}

function graphDriver(container: Container): unknown {
  const upper = container.upperDir;
  const base = upper.replace(/\/(fs|diff)$/, "");
  const data =
    upper === "" ? null : { ID: container.id, LowerDir: "", MergedDir: "", UpperDir: upper, WorkDir: `${base}/work` };
  return { Data: data, Name: container.driver || "overlay2" };
}

export function mountsJson(container: Pick<Container, "mounts">): { Type: string; Source: string }[] {
  return container.mounts.map((mount) => ({
    Type: mount.type,
    ...(mount.name === "" ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === "" ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  }));
}

function networkSettings(container: Container): Record<string, unknown> {
  const joined = container.spec?.hostConfig?.networkMode.startsWith("container:") ?? false;
  const main = container.endpoints.find(({ network }) => network === "bridge") ?? undefined;
  return {
    Bridge: "",
    SandboxID: joined ? "" : sandboxId(container.sandboxKey),
    SandboxKey: joined ? "" : container.sandboxKey,
    Ports: portsJson(container),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: main?.endpointId ?? "",
    Gateway: main?.gateway ?? "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    IPAddress: main?.ipAddress ?? "",
    IPPrefixLen: main?.ipPrefixLen ?? 0,
    IPv6Gateway: "",
    MacAddress: main?.macAddress ?? "",
    Networks: networksJson({
      ...container,
      networkMode: container.spec?.hostConfig?.networkMode ?? "bridge",
      networkDisabled: container.spec?.config?.networkDisabled ?? false,
      endpointSpecs: container.spec?.endpoints ?? [],
    }),
  };
}

function sandboxId(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

/** {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": null}: exposed ports too, once the container runs. */
function portsJson(container: Container): Record<string, unknown> {
  if (container.sandboxKey === "" && container.ports.length === 0) return {};
  const result: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const { containerPort, hostIp, hostPort } of container.ports) {
    const list = result[containerPort] ?? [];
    if (hostPort !== 0) list.push({ HostIp: hostIp, HostPort: String(hostPort) });
    result[containerPort] = list.length === 0 ? null : list;
  }
  return result;
}

type Networked = Pick<
  ContainerSummary,
  "id" | "name" | "networkDisabled" | "networkMode" | "endpoints" | "endpointSpecs"
>;

/** Settings of each network; those of a container that does not run are what it will ask for. */
export function networksJson(container: Networked): Record<string, unknown> {
  if (container.networkDisabled) return {};
  const specs = new Map(container.endpointSpecs.map((spec) => [spec.network, spec]));
  const result: Record<string, unknown> = {};
  for (const endpoint of container.endpoints) {
    result[endpoint.network] = endpointJson(endpoint, specs.get(endpoint.network), container);
  }
  const mode = container.networkMode;
  const names = new Set([
    ...specs.keys(),
    ...(mode.startsWith("container:") ? [] : [mode === "default" ? "bridge" : mode]),
  ]);
  for (const name of names) {
    if (name !== "" && !(name in result)) result[name] = endpointJson(undefined, specs.get(name), container);
  }
  return result;
}

function endpointJson(
  endpoint: Endpoint | undefined,
  spec: EndpointSpec | undefined,
  container: Pick<Container, "id" | "name">,
): Record<string, unknown> {
  const aliases = endpoint !== undefined && endpoint.aliases.length > 0 ? endpoint.aliases : (spec?.aliases ?? []);
  const hasAddress =
    spec !== undefined && (spec.ipv4Address !== "" || spec.ipv6Address !== "" || spec.linkLocalIps.length > 0);
  const isUserNetwork = endpoint !== undefined && !["bridge", "host", "none"].includes(endpoint.network);
  return {
    IPAMConfig: hasAddress
      ? {
          ...(spec.ipv4Address === "" ? {} : { IPv4Address: spec.ipv4Address }),
          ...(spec.ipv6Address === "" ? {} : { IPv6Address: spec.ipv6Address }),
          ...(spec.linkLocalIps.length === 0 ? {} : { LinkLocalIPs: spec.linkLocalIps }),
        }
      : null,
    Links: orNull(spec?.links ?? []),
    Aliases: orNull(aliases),
    MacAddress: endpoint?.macAddress ?? spec?.macAddress ?? "",
    DriverOpts: Object.keys(spec?.driverOptions ?? {}).length === 0 ? null : spec?.driverOptions,
    GwPriority: spec?.gatewayPriority ?? 0,
    NetworkID: endpoint?.networkId ?? "",
    EndpointID: endpoint?.endpointId ?? "",
    Gateway: endpoint?.gateway ?? "",
    IPAddress: endpoint?.ipAddress ?? "",
    IPPrefixLen: endpoint?.ipPrefixLen ?? 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: isUserNetwork ? [...new Set([container.name, ...aliases, container.id.slice(0, 12)])] : null,
  };
}

/** GET /networks/{id} */
export function networkJson(network: Network): Record<string, unknown> {
  const hasAddresses = network.subnet !== "";
  const members: Record<string, unknown> = {};
  for (const member of network.containers) {
    members[member.containerId] = {
      Name: member.name,
      EndpointID: member.endpointId,
      MacAddress: member.macAddress,
      IPv4Address: member.ipv4Address,
      IPv6Address: "",
    };
  }
  return {
    Name: network.name,
    Id: network.id,
    Created: rfc3339(network.created),
    Scope: network.scope || "local",
    Driver: network.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: null,
      Config: hasAddresses ? [{ Subnet: network.subnet, Gateway: network.gateway }] : null,
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: members,
    Options: network.options,
    Labels: network.labels,
  };
}

export type { PublishedPort };
