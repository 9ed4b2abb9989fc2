import type { Bus, NodeRecord } from "@berth/bus";
import { BerthError, isBerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { Supervisor } from "../../rpc/types.ts";
import { Attendance } from "./attendance.ts";
import { ContainerIndex, type IndexedContainer } from "./container-index.ts";
import { noWish, type Wish } from "./placement.ts";
import { Scheduler } from "./scheduler.ts";
import { withSecondLook } from "./second-look.ts";

/** A node that runs containers, and the way to it. */
export interface Node {
  nodeId: string;
  nodeName: string;
  sameHost: boolean;
  supervisor: Supervisor;
}

export interface NodesOptions {
  bus: Pick<Bus, "connected" | "instances" | "onInstances" | "waitFor" | "names" | "nodes">;
  hostId: string;
  connect: (nodeId: string) => Supervisor;
  log: Logger;
}

/** Ids whose node is remembered; beyond it the oldest is looked up again. */
const maxRemembered = 50_000;
/** A restarted supervisor is back within 2 s. */
const patienceMs = 5_000;
const fullId = /^[0-9a-f]{64}$/;

/**
 * The nodes, and which of them has a container. With one node the answer is that one, without asking anybody. With several
 * the names that all hosts agree on tell; what they don't yet is asked of all nodes.
 */
export class Nodes {
  readonly #bus: NodesOptions["bus"];
  readonly #hostId: string;
  readonly #connect: NodesOptions["connect"];
  readonly #nodeOf = new Map<string, string>();
  readonly #scheduler: Scheduler;
  readonly #attendance: Attendance;
  readonly #log: Logger;
  #index: ContainerIndex | undefined;
  #records: readonly NodeRecord[] = [];
  #nodes: Node[] | undefined;

  constructor({ bus, hostId, connect, log }: NodesOptions) {
    this.#bus = bus;
    this.#hostId = hostId;
    this.#connect = connect;
    this.#scheduler = new Scheduler(hostId);
    this.#attendance = new Attendance({ bus, log });
    this.#log = log;
    bus.onInstances(() => {
      this.#nodes = undefined;
    });
    bus.nodes.follow((records) => this.#learn(records));
  }

  /** Resolves when it is known which nodes there are, those that are away included, or nobody can tell: before that they have never been. */
  async ready(): Promise<void> {
    try {
      this.#learn(await this.#bus.nodes.read());
    } catch (error) {
      this.#log.warn({ err: error }, "which nodes there are will be known later");
    }
  }

  #learn(records: readonly NodeRecord[]): void {
    this.#records = records;
    this.#attendance.update(records);
    if (this.isCluster) this.#followNames();
  }

  /** There is, or has been, more than one node. */
  get isCluster(): boolean {
    return this.#records.length > 1 || this.all().length > 1;
  }

  /** Every node that was entered, those that are away included. */
  get records(): readonly NodeRecord[] {
    return this.#records;
  }

  /** Every node that is there, those on this host first. */
  all(): readonly Node[] {
    this.#nodes ??= this.#bus
      .instances("supervisor")
      .map(({ nodeId, nodeName, hostId }) => this.#node(nodeId, nodeName, hostId === this.#hostId))
      .sort((a, b) => Number(b.sameHost) - Number(a.sameHost));
    return this.#nodes;
  }

  /**
   * Every node that is there, or is not away for long enough to be missed; waits a little for one when there is none.
   * @throws UNAVAILABLE when none comes
   */
  async some(signal?: AbortSignal): Promise<readonly Node[]> {
    const nodes = this.all();
    if (nodes.length > 0) return this.#withExpected(nodes);
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

  /** Nodes that are away, with the containers that they have. */
  away(): { record: NodeRecord; containers: IndexedContainer[] }[] {
    if (!this.isCluster) return [];
    const there = new Set(this.all().map(({ nodeId }) => nodeId));
    return this.#records
      .filter(({ nodeId, awaySince }) => awaySince !== undefined && !there.has(nodeId))
      .map((record) => ({ record, containers: this.#index?.of(record.nodeId) ?? [] }));
  }

  /** The same of nodes that are there for others, and did not answer this gateway just now. */
  mute(nodeIds: ReadonlySet<string>): { record: NodeRecord; containers: IndexedContainer[] }[] {
    const awaySince = new Date().toISOString();
    return this.#records
      .filter(({ nodeId, awaySince }) => nodeIds.has(nodeId) && awaySince === undefined)
      .map((record) => ({ record: { ...record, awaySince }, containers: this.#index?.of(record.nodeId) ?? [] }));
  }

  /** A container of a node that is away, by id, name or prefix. */
  findAway(reference: string): { record: NodeRecord; container: IndexedContainer } | undefined {
    const away = this.away();
    if (away.length === 0) return undefined;
    const container = this.#index?.find(reference);
    const record = away.find(({ record: { nodeId } }) => nodeId === container?.nodeId)?.record;
    return record === undefined || container === undefined ? undefined : { record, container };
  }

  /**
   * Where a new container, or a volume, goes: of the nodes that suit the one with the most free capacity.
   * @param wish asked for where there is something to choose, or its labels may refuse the only one
   * @param key with one, the same node every time, whichever gateway is asked: that node knows the key again
   * @throws CONFLICT when none suits; UNAVAILABLE; what `wish` throws
   */
  async forNew(wish: () => Promise<Wish> | Wish = () => noWish, key?: string): Promise<Node> {
    const [first, ...others] = await this.some();
    if (first === undefined) throw new BerthError("UNAVAILABLE", "there is no node");
    const wanted = await wish();
    if (others.length === 0 && wanted.constraints.length === 0 && this.#records.length < 2 && !this.#isDrained(first))
      return first;
    const instances = this.#bus.instances("supervisor");
    const chosen = this.#scheduler.choose(instances, this.#records, wanted, key);
    return this.all().find(({ nodeId }) => nodeId === chosen) ?? first;
  }

  /** Whether a node suits. @throws CONFLICT when it does not, or is away */
  checkPlace(nodeId: string, wish: Wish): void {
    this.#scheduler.check(nodeId, this.#bus.instances("supervisor"), this.#records, wish);
  }

  /** Which node has a container by its full id, as far as the names tell. */
  ownerOf(containerId: string): string | undefined {
    return this.#index?.find(containerId)?.nodeId;
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
    if (nodes.length === 1 && !this.isCluster) return nodes[0] as Node;
    const away = this.findAway(container);
    if (away !== undefined) throw unreachable(container, away.record);
    const owner = await this.#owner(container);
    const known = nodes.find(({ nodeId }) => nodeId === owner);
    if (known === undefined) return this.#askAll(container, nodes, owner, signal);
    const elsewhere = async () => {
      this.forget(container);
      const { nodeId, supervisor } = await this.#ask(container, nodes, signal);
      return nodeId === known.nodeId ? undefined : supervisor;
    };
    return { ...known, supervisor: withSecondLook(known.supervisor, elsewhere) };
  }

  /** The node of an exec: execs are known to the node of their container alone. */
  async ofExec(exec: string, signal?: AbortSignal): Promise<Node> {
    const nodes = await this.some(signal);
    if (nodes.length === 1 && !this.isCluster) return nodes[0] as Node;
    const remembered = nodes.find(({ nodeId }) => nodeId === this.#nodeOf.get(exec));
    if (remembered !== undefined) return remembered;
    const found = await firstThatHas(nodes, ({ supervisor }) => supervisor.inspectExec({ exec }, options(signal)));
    if (found === undefined) throw new BerthError("NO_SUCH_EXEC", `No such exec instance: ${exec}`);
    return found;
  }

  async #owner(container: string): Promise<string | undefined> {
    return this.#index?.find(container)?.nodeId ?? this.#nodeOf.get(container) ?? (await this.#lookUp(container));
  }

  /** @param owner a node that is not among those that are there, and is said to have it */
  async #askAll(container: string, nodes: readonly Node[], owner?: string, signal?: AbortSignal): Promise<Node> {
    const record = this.#records.find(({ nodeId }) => nodeId === owner);
    return this.#ask(container, nodes, signal).catch((error: unknown) => {
      // Nobody who is there has it, which does not mean that it is no more.
      if (record === undefined || !isMissing(error)) throw error;
      throw unreachable(container, { awaySince: new Date().toISOString(), ...record });
    });
  }

  /** A name may be too new for the index. */
  async #lookUp(container: string): Promise<string | undefined> {
    if (fullId.test(container)) return undefined;
    try {
      return (await this.#bus.names.lookup(container.replace(/^\//, "")))?.nodeId;
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

  #node(nodeId: string, nodeName: string, sameHost: boolean): Node {
    return { nodeId, nodeName, sameHost, supervisor: this.#connect(nodeId) };
  }

  /** With those that were there a moment ago: calls wait for them as for any service that is restarted. */
  #withExpected(nodes: readonly Node[]): readonly Node[] {
    if (this.#records.length < 2) return nodes;
    const missing = this.#records.filter(
      (record) => record.awaySince === undefined && !nodes.some(({ nodeId }) => nodeId === record.nodeId),
    );
    return [...nodes, ...missing.map(({ nodeId, name }) => this.#node(nodeId, name, false))];
  }

  #isDrained({ nodeId }: Node): boolean {
    return this.#records.some((record) => record.nodeId === nodeId && record.availability === "drain");
  }

  #followNames(): void {
    if (this.#index !== undefined) return;
    this.#index = new ContainerIndex();
    this.#index.follow(this.#bus.names);
  }
}

export function unreachable(container: string, { name, awaySince = "" }: NodeRecord): BerthError {
  return new BerthError(
    "UNAVAILABLE",
    `container ${container} is on node ${name}, which is unreachable since ${awaySince}`,
  );
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
