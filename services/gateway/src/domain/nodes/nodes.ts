import { createHash } from "node:crypto";
import type { Bus, Instance } from "@berth/bus";
import { BerthError, isBerthError } from "@berth/errors";
import type { Supervisor } from "../../rpc/types.ts";

/** A node that runs containers, and the way to it. */
export interface Node {
  nodeId: string;
  nodeName: string;
  sameHost: boolean;
  supervisor: Supervisor;
}

export interface NodesOptions {
  bus: Pick<Bus, "instances" | "onInstances" | "waitFor" | "names">;
  hostId: string;
  connect: (instance: Instance) => Supervisor;
}

/** Ids whose node is remembered; beyond it the oldest is looked up again. */
const maxRemembered = 50_000;
/** A restarted supervisor is back within 2 s. */
const patienceMs = 5_000;
const fullId = /^[0-9a-f]{64}$/;

/**
 * Which node has a container. With one supervisor the answer is that one, without asking anybody. With several: ids
 * that were seen before are remembered (a container never changes its node), names are looked up in the shared names
 * bucket, and what is left (id prefixes, ids not seen yet) is asked of all nodes.
 */
export class Nodes {
  readonly #bus: NodesOptions["bus"];
  readonly #hostId: string;
  readonly #connect: NodesOptions["connect"];
  readonly #nodeOf = new Map<string, string>();
  #nodes: Node[] | undefined;

  constructor({ bus, hostId, connect }: NodesOptions) {
    this.#bus = bus;
    this.#hostId = hostId;
    this.#connect = connect;
    bus.onInstances(() => {
      this.#nodes = undefined;
    });
  }

  /** Every node that is there, those on this host first. */
  all(): readonly Node[] {
    this.#nodes ??= this.#bus
      .instances("supervisor")
      .map((instance) => ({
        nodeId: instance.nodeId,
        nodeName: instance.nodeName,
        sameHost: instance.hostId === this.#hostId,
        supervisor: this.#connect(instance),
      }))
      .sort((a, b) => Number(b.sameHost) - Number(a.sameHost));
    return this.#nodes;
  }

  /** As {@link all}; waits a little for one that is being restarted. @throws UNAVAILABLE when none comes */
  async some(signal?: AbortSignal): Promise<readonly Node[]> {
    const nodes = this.all();
    if (nodes.length > 0) return nodes;
    const patience = AbortSignal.timeout(patienceMs);
    try {
      await this.#bus.waitFor("supervisor", {
        signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
      });
    } catch (error) {
      throw new BerthError(
        "UNAVAILABLE",
        "no supervisor is running: containers are out of reach",
        {},
        { cause: error },
      );
    }
    this.#nodes = undefined;
    return this.all();
  }

  /**
   * Where a new container goes: this host if it runs containers.
   * @param key with one, the same node every time, whichever gateway is asked: that node knows the key again
   * @throws UNAVAILABLE
   */
  async forNew(key?: string): Promise<Node> {
    const nodes = await this.some();
    if (key === undefined || nodes.length === 1) return nodes[0] as Node;
    const weigh = ({ nodeId }: Node) => createHash("sha256").update(`${nodeId}/${key}`).digest("hex");
    return nodes.reduce((best, node) => (weigh(node) > weigh(best) ? node : best));
  }

  remember(containerId: string, nodeId: string): void {
    if (this.all().length < 2) return;
    if (this.#nodeOf.size >= maxRemembered) {
      const oldest = this.#nodeOf.keys().next().value;
      if (oldest !== undefined) this.#nodeOf.delete(oldest);
    }
    this.#nodeOf.set(containerId, nodeId);
  }

  forget(containerId: string): void {
    this.#nodeOf.delete(containerId);
  }

  /** The node of a container given by id, id prefix or name. @throws NO_SUCH_CONTAINER, UNAVAILABLE */
  async of(container: string, signal?: AbortSignal): Promise<Node> {
    const nodes = await this.some(signal);
    if (nodes.length === 1) return nodes[0] as Node;
    return (await this.#known(container, nodes)) ?? this.#ask(container, nodes, signal);
  }

  /** The node of an exec: execs are known to the node of their container alone. */
  async ofExec(exec: string, signal?: AbortSignal): Promise<Node> {
    const nodes = await this.some(signal);
    if (nodes.length === 1) return nodes[0] as Node;
    const remembered = nodes.find(({ nodeId }) => nodeId === this.#nodeOf.get(exec));
    if (remembered !== undefined) return remembered;
    const found = await firstThatHas(nodes, ({ supervisor }) => supervisor.inspectExec({ exec }, options(signal)));
    if (found === undefined) throw new BerthError("NO_SUCH_EXEC", `No such exec instance: ${exec}`);
    return found;
  }

  async #known(container: string, nodes: readonly Node[]): Promise<Node | undefined> {
    const byId = this.#nodeOf.get(container);
    if (byId !== undefined) return nodes.find(({ nodeId }) => nodeId === byId);
    if (fullId.test(container)) return undefined;
    try {
      const owner = await this.#bus.names.lookup(container.replace(/^\//, ""));
      return owner === undefined ? undefined : nodes.find(({ nodeId }) => nodeId === owner.nodeId);
    } catch (error) {
      // Names are out of reach with NATS, or this can be none: the nodes themselves know.
      if (isBerthError(error) && (error.reason === "UNAVAILABLE" || error.reason === "INVALID_ARGUMENT"))
        return undefined;
      throw error;
    }
  }

  async #ask(container: string, nodes: readonly Node[], signal?: AbortSignal): Promise<Node> {
    const found = await firstThatHas(nodes, async (node) => {
      const { container: hit } = await node.supervisor.inspect({ container }, options(signal));
      if (hit !== undefined) this.remember(hit.id, node.nodeId);
    });
    if (found === undefined) throw new BerthError("NO_SUCH_CONTAINER", `No such container: ${container}`);
    return found;
  }
}

async function firstThatHas(nodes: readonly Node[], ask: (node: Node) => Promise<unknown>): Promise<Node | undefined> {
  const answers = await Promise.allSettled(nodes.map(ask));
  const index = answers.findIndex(({ status }) => status === "fulfilled");
  if (index !== -1) return nodes[index];
  // A node that could not be asked might have it: say so rather than "no such container".
  for (const answer of answers) {
    if (answer.status === "rejected" && !isMissing(answer.reason)) throw answer.reason;
  }
  return undefined;
}

export function isMissing(error: unknown): boolean {
  return isBerthError(error) && (error.reason === "NO_SUCH_CONTAINER" || error.reason === "NO_SUCH_EXEC");
}

/** A call's options, for a signal that may be absent. */
export function options(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
