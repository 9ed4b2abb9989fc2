import { type Bus, type Instance, type Load, type NodeRecord, roles } from "@berth/bus";
import { BerthError } from "@berth/errors";
import { modeOf, nodeOfServer } from "@berth/identity/plan";

/** A node as operators see it. */
export interface NodeView {
  record: NodeRecord;
  state: "ready" | "degraded" | "away";
  load: Load;
  services: Instance[];
  /** What its NATS server is to the events; undefined where it runs none. */
  nats: "leader" | "follower" | "away" | undefined;
}

export interface NodeChange {
  availability?: NodeRecord["availability"] | undefined;
  addLabels?: Readonly<Record<string, string>> | undefined;
  removeLabels?: readonly string[] | undefined;
}

/** What a node needs to run containers. */
const needed = ["supervisor", "snapshotter"] as const;
const maxLabels = 256;
/** characters */
const maxLabel = 1024;

type Parts = Pick<Bus, "instances" | "nodes" | "names" | "servers">;

/** What operators do with nodes. References are names, ids, or prefixes of ids. */
export class NodeAdministration {
  readonly #bus: Parts;
  readonly #shutOut: (nodeId: string) => Promise<void>;

  /** @param shutOut makes a node's certificates worthless, where there are any */
  constructor(bus: Parts, shutOut: (nodeId: string) => Promise<void> = async () => {}) {
    this.#bus = bus;
    this.#shutOut = shutOut;
  }

  /** By name. @throws UNAVAILABLE */
  async list(): Promise<NodeView[]> {
    const [records, nats] = await Promise.all([this.#bus.nodes.read(), this.#natsOf()]);
    return records.map((record) => this.#view(record, nats(record.nodeId)));
  }

  /** @throws NOT_FOUND, INVALID_ARGUMENT for a prefix that several have, UNAVAILABLE */
  async inspect(reference: string): Promise<NodeView> {
    return find(await this.list(), reference);
  }

  /** @throws as {@link inspect}; INVALID_ARGUMENT */
  async update(reference: string, change: NodeChange): Promise<NodeView> {
    const { record, nats } = await this.inspect(reference);
    return this.#view(await this.#bus.nodes.change(record.nodeId, (known) => changed(known, change)), nats);
  }

  /**
   * Forgets a node that is away for good, with the names of its containers: others may have them. It can't come back but by a token.
   * @throws as {@link inspect}; CONFLICT while it is there
   */
  async remove(reference: string): Promise<void> {
    const { record, state } = await this.inspect(reference);
    if (state !== "away")
      throw new BerthError("CONFLICT", `node ${record.name} is there: stop its services first, then remove it`);
    await this.#shutOut(record.nodeId);
    const names = await this.#bus.names.entries(record.nodeId);
    await Promise.all(names.map(({ name, containerId }) => this.#bus.names.release(name, containerId)));
    await this.#bus.nodes.remove(record.nodeId);
  }

  /** By node. The authority says who has a server, the servers themselves who leads and who is away. */
  async #natsOf(): Promise<(nodeId: string) => NodeView["nats"]> {
    const plan = this.#bus.instances("authority").find(({ nats }) => nats !== undefined)?.nats;
    const place = await this.#bus.servers.ofEvents().catch(() => ({ leader: undefined, followers: [] }));
    const away = place.followers.filter(({ offline }) => offline).map(({ name }) => nodeOfServer(name));
    return (nodeId) => {
      if (plan === undefined || modeOf(plan, nodeId) === "none") return undefined;
      if (modeOf(plan, nodeId) === "alone" || (place.leader && nodeOfServer(place.leader) === nodeId)) return "leader";
      return away.includes(nodeId) ? "away" : "follower";
    };
  }

  #view(record: NodeRecord, nats: NodeView["nats"]): NodeView {
    const services = roles
      .flatMap((role) => this.#bus.instances(role))
      .filter(({ nodeId }) => nodeId === record.nodeId);
    const supervisor = services.find(({ role }) => role === "supervisor");
    const isWhole = needed.every((role) => services.some((instance) => instance.role === role));
    const state = supervisor === undefined ? "away" : isWhole ? "ready" : "degraded";
    return { record, state, load: supervisor?.load ?? { containers: 0, cpus: 0, memory: 0 }, services, nats };
  }
}

function find(nodes: readonly NodeView[], reference: string): NodeView {
  const exact = nodes.find(({ record }) => record.name === reference || record.nodeId === reference);
  if (exact !== undefined) return exact;
  const [first, ...others] = reference === "" ? [] : nodes.filter(({ record }) => record.nodeId.startsWith(reference));
  if (first === undefined) throw new BerthError("NOT_FOUND", `No such node: ${reference}`);
  if (others.length > 0)
    throw new BerthError("INVALID_ARGUMENT", `several nodes have an id that begins with ${reference}`);
  return first;
}

function changed(record: NodeRecord, { availability, addLabels = {}, removeLabels = [] }: NodeChange): NodeRecord {
  const labels = { ...record.labels };
  for (const key of removeLabels) {
    if (!Object.hasOwn(labels, key))
      throw new BerthError("INVALID_ARGUMENT", `node ${record.name} has no label ${key}`);
    delete labels[key];
  }
  for (const [key, value] of Object.entries(addLabels)) {
    if (!/^[^\s=]+$/.test(key))
      throw new BerthError("INVALID_ARGUMENT", `${JSON.stringify(key)} can't be a label's key`);
    if (key.length + value.length > maxLabel)
      throw new BerthError("INVALID_ARGUMENT", `label ${key.slice(0, 64)} has over ${maxLabel} characters`);
    labels[key] = value;
  }
  if (Object.keys(labels).length > maxLabels)
    throw new BerthError("INVALID_ARGUMENT", `a node has at most ${maxLabels} labels`);
  return { ...record, labels, ...(availability !== undefined && { availability }) };
}
