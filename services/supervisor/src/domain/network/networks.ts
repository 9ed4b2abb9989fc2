import { BerthError } from "@berth/errors";
import type { ContainerRecord, Endpoint, PublishedPort } from "../model.ts";
import { shownPort } from "../validate/ports.ts";
import type { BridgeNetwork } from "./bridge.ts";
import type { InterfaceCounters, NetworkDriver } from "./driver.ts";

export interface BuiltInNetworks {
  /** Ids. */
  none: string;
  host: string;
  /** RFC 3339: when this node was first started. */
  created: string;
}

/** What a start needs of the network while it prepares the rest. */
export interface Reservation {
  endpoint: Endpoint | undefined;
  /** Own namespace, not another container's and not the host's. */
  own: boolean;
  /** Makes it; `namespace` is a descriptor that the caller closes, or null. */
  connect(): Promise<{ namespace: number | null; ports: PublishedPort[] }>;
}

/** The built-in networks of a node: bridge, host, none. */
export class Networks {
  readonly bridge: BridgeNetwork;
  readonly ids: BuiltInNetworks;
  readonly #driver: NetworkDriver;

  constructor(bridge: BridgeNetwork, ids: BuiltInNetworks, driver: NetworkDriver) {
    this.bridge = bridge;
    this.ids = ids;
    this.#driver = driver;
  }

  async reserve(record: ContainerRecord): Promise<Reservation> {
    const mode = record.spec.hostConfig.networkMode;
    refuseUnknown(record);
    if (record.spec.config.networkDisabled) {
      const connect = async () => ({ namespace: await this.#driver.createNamespace(), ports: [] });
      return { endpoint: undefined, own: true, connect };
    }
    if (mode === "host") {
      return {
        endpoint: bare("host", this.ids.host),
        own: false,
        connect: async () => ({ namespace: null, ports: [] }),
      };
    }
    if (mode.startsWith("container:"))
      return { endpoint: undefined, own: false, connect: async () => ({ namespace: null, ports: [] }) };
    if (mode === "none") {
      const connect = async () => ({ namespace: await this.#driver.createNamespace(), ports: [] });
      return { endpoint: bare("none", this.ids.none), own: true, connect };
    }
    const endpoint = await this.bridge.reserve(record);
    const connect = async () => {
      const { namespace, ports } = await this.bridge.connect(record, endpoint);
      return { namespace, ports: [...ports, ...onlyExposed(record, ports)] };
    };
    return { endpoint, own: true, connect };
  }

  release(id: string): Promise<void> {
    return this.bridge.detach(id);
  }

  interfaceStats(namespace: number): Promise<readonly InterfaceCounters[]> {
    return this.#driver.interfaceStats(namespace);
  }
}

const builtIn = ["bridge", "host", "none"];

function refuseUnknown({ spec }: ContainerRecord): void {
  const { networkMode: mode } = spec.hostConfig;
  if (mode.startsWith("container:")) return;
  const unknown = [mode, ...spec.endpoints.map(({ network }) => network)].find((name) => !builtIn.includes(name));
  if (unknown === undefined) return;
  throw new BerthError("NO_SUCH_NETWORK", `failed to set up container networking: network ${unknown} not found`);
}

function bare(network: string, networkId: string): Endpoint {
  const empty = { endpointId: "", hostInterface: "", gateway: "", ipAddress: "", macAddress: "" };
  return { network, networkId, ...empty, ipPrefixLen: 0, aliases: [] };
}

/** Exposed and not published: inspect and ps show them without a host port. */
function onlyExposed(record: ContainerRecord, published: readonly PublishedPort[]): PublishedPort[] {
  const done = new Set(published.map((port) => port.containerPort));
  return [...new Set(record.spec.config.exposedPorts.map(shownPort))]
    .filter((port) => !done.has(port))
    .map((containerPort) => ({ containerPort, hostIp: "", hostPort: 0 }));
}
