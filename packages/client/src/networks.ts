import type { Network as NetworkMessage } from "@berth/api/containers";
import type { Link } from "./link.ts";
import type { CallOptions } from "./options.ts";

export interface Network {
  id: string;
  name: string;
  driver: string;
  /** "local" or "global" */
  scope: string;
  /** In CIDR notation; empty where there is none. */
  subnet: string;
  gateway: string;
  options: Record<string, string>;
  labels: Record<string, string>;
  /** Containers that are in it. */
  members: { containerId: string; name: string; ipv4Address: string; macAddress: string }[];
}

/** The networks of all nodes. */
export class Networks {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  async list(call: CallOptions = {}): Promise<Network[]> {
    const { networks } = await this.#link.again(({ supervisor }, how) => supervisor.listNetworks({}, how), call);
    return networks.map(decode);
  }
}

function decode({ created: _created, containers, ...network }: NetworkMessage): Network {
  const members = containers.map(({ endpointId: _endpoint, ...member }) => member);
  return { ...network, members };
}
