import { type Node as NodeMessage, NodeState } from "@berth/api/nodes";
import { BerthError } from "@berth/errors";
import type { Link } from "./link.ts";
import type { CallOptions } from "./options.ts";

/** A host that containers run on. */
export interface Node {
  id: string;
  name: string;
  site: string;
  /** Of its supervisor. */
  version: string;
  state: "ready" | "degraded" | "away" | "unknown";
  /** "drain": it is given no new container. */
  availability: "active" | "drain";
  /** Undefined while it is there. */
  awaySince: Date | undefined;
  joinedAt: Date;
  labels: Record<string, string>;
  capacity: Capacity | undefined;
  services: { role: string; version: string; started: Date }[];
}

export interface Capacity {
  cpus: number;
  /** bytes */
  memory: number;
  /** From here on what the node says: nought and empty while it does not answer. */
  containersRunning: number;
  containersPaused: number;
  containersStopped: number;
  operatingSystem: string;
  kernelVersion: string;
  architecture: string;
}

/** The nodes of the engine. */
export class Nodes {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  async list(call: CallOptions = {}): Promise<Node[]> {
    return (await this.#link.again(({ nodes }, how) => nodes.list({}, how), call)).nodes.map(decode);
  }

  /** By id, unambiguous id prefix, or name. @throws NOT_FOUND */
  async inspect(node: string, call: CallOptions = {}): Promise<Node> {
    return decode((await this.#link.again(({ nodes }, how) => nodes.inspect({ node }, how), call)).node);
  }
}

const states: Partial<Record<NodeState, Node["state"]>> = {
  [NodeState.READY]: "ready",
  [NodeState.DEGRADED]: "degraded",
  [NodeState.AWAY]: "away",
};

function decode(node: NodeMessage | undefined): Node {
  if (node === undefined) throw new BerthError("INTERNAL", "the engine's answer has no node");
  return {
    ...node,
    state: states[node.state] ?? "unknown",
    availability: node.availability === "drain" ? "drain" : "active",
    awaySince: node.awaySince === "" ? undefined : new Date(node.awaySince),
    joinedAt: new Date(node.joinedAt),
    services: node.services.map(({ role, version, started }) => ({
      role,
      version,
      started: new Date((started?.seconds ?? 0) * 1000 + (started?.nanos ?? 0) / 1e6),
    })),
  };
}
