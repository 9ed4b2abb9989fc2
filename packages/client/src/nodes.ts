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
  state: "ready" | "degraded" | "unknown";
  labels: Record<string, string>;
  /** Undefined while the node does not answer. */
  capacity: Capacity | undefined;
  services: { role: string; version: string; started: Date }[];
}

export interface Capacity {
  cpus: number;
  /** bytes */
  memory: number;
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
};

function decode(node: NodeMessage | undefined): Node {
  if (node === undefined) throw new BerthError("INTERNAL", "the engine's answer has no node");
  return {
    ...node,
    state: states[node.state] ?? "unknown",
    services: node.services.map(({ role, version, started }) => ({
      role,
      version,
      started: new Date((started?.seconds ?? 0) * 1000 + (started?.nanos ?? 0) / 1e6),
    })),
  };
}
