import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import type { ContainerSummary, MovesClient, PlanMoveResponse } from "../../rpc/types.ts";
import type { ProgressMessage } from "../../shapes/progress.ts";
import type { Containers } from "../containers.ts";
import type { NodeAdministration, NodeView } from "../nodes/administration.ts";
import type { Node } from "../nodes/nodes.ts";
import { noWish, type Wish } from "../nodes/placement.ts";
import { ownWish } from "../nodes/wish.ts";
import { conduct, partName } from "./conduct.ts";

export interface MovesOptions {
  containers: Containers;
  administration: NodeAdministration;
  connect: (nodeId: string) => MovesClient;
}

export interface MoveRequest {
  container: string;
  /** Name, id or prefix of one; empty: the one that placement chooses. */
  node: string;
  /** The container's labels need not allow the node. */
  force: boolean;
}

/** What a move would do. */
export interface Plan {
  id: string;
  name: string;
  running: boolean;
  from: { nodeId: string; nodeName: string };
  to: { nodeId: string; nodeName: string };
  /** bytes on the disk */
  parts: { name: string; size: number }[];
  /** Why it can't be done; none: it can. */
  obstacles: string[];
}

/** Containers from node to node. */
export class Moves {
  readonly #options: MovesOptions;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** @throws NO_SUCH_CONTAINER, NOT_FOUND, UNAVAILABLE; CONFLICT when no node was named and none suits */
  async plan({ container, node, force }: MoveRequest, signal: AbortSignal): Promise<Plan> {
    const { containers, connect } = this.#options;
    const from = await containers.nodes.of(container, signal);
    const planned = await connect(from.nodeId).planMove({ container }, { signal });
    const wish = await this.#wishOf(planned.id, signal);
    const view = await this.#target(node, from, wish);
    const to = { nodeId: view.record.nodeId, nodeName: view.record.name };
    const parts = planned.parts.map(({ part, size }) => ({
      name: partName(part?.kind ?? 0, part?.name ?? ""),
      size,
    }));
    const there = nodeObstacles(view, from);
    const obstacles = [
      ...planned.obstacles,
      ...there,
      ...(force ? [] : this.#labelObstacles(to.nodeId, wish)),
      ...(there.length > 0 ? [] : await this.#asked(to.nodeId, planned, signal)),
    ];
    const { id, name, running } = planned;
    return { id, name, running, from: { nodeId: from.nodeId, nodeName: from.nodeName }, to, parts, obstacles };
  }

  /** Tells of each step. @throws CONFLICT for a plan with obstacles; what fails, when the container is where it was */
  async move(plan: Plan, tell: (message: ProgressMessage) => void, signal: AbortSignal): Promise<void> {
    const { id, name, from, to, parts, obstacles } = plan;
    if (obstacles.length > 0)
      throw new BerthError(
        "CONFLICT",
        `container ${name} can't be moved to node ${to.nodeName}: ${obstacles.join("; ")}`,
      );
    const { containers, connect } = this.#options;
    const sizes = new Map(parts.map(({ name: part, size }) => [part, size]));
    const journey = { source: connect(from.nodeId), target: connect(to.nodeId), containerId: id, to, sizes };
    try {
      await conduct(journey, tell, signal);
    } finally {
      // Whichever way it went: what was known of its place may be wrong.
      containers.nodes.forget(id);
    }
    containers.nodes.remember(id, to.nodeId);
  }

  /** What a node has. @throws NOT_FOUND, UNAVAILABLE */
  async containersOf(reference: string, signal: AbortSignal): Promise<ContainerSummary[]> {
    const { administration, containers } = this.#options;
    const { record } = await administration.inspect(reference);
    const node = containers.nodes.all().find(({ nodeId }) => nodeId === record.nodeId);
    if (node === undefined) throw new BerthError("UNAVAILABLE", `node ${record.name} is away`);
    return (await node.supervisor.list({ all: true }, { signal })).containers;
  }

  async #target(reference: string, from: Node, wish: Wish): Promise<NodeView> {
    const { administration, containers } = this.#options;
    if (reference !== "") return administration.inspect(reference);
    const elsewhere = { ...wish, apart: new Set([...(wish.apart ?? []), from.nodeId]) };
    return administration.inspect((await containers.nodes.forNew(() => elsewhere)).nodeId);
  }

  /** What its own labels and limits ask; that it is bound to its node by something else is an obstacle of its own. */
  async #wishOf(id: string, signal: AbortSignal): Promise<Wish> {
    const { spec } = await this.#options.containers.inspect(id, false, signal);
    return spec === undefined ? noWish : ownWish(spec);
  }

  #labelObstacles(nodeId: string, wish: Wish): string[] {
    try {
      this.#options.containers.nodes.checkPlace(nodeId, wish);
      return [];
    } catch (error) {
      if (isBerthError(error) && error.reason === "CONFLICT")
        return ["its labels do not allow that node (--force moves it all the same)"];
      throw error;
    }
  }

  async #asked(nodeId: string, { manifest, parts }: PlanMoveResponse, signal: AbortSignal): Promise<string[]> {
    const size = parts.reduce((sum, part) => sum + part.size, 0);
    try {
      return (await this.#options.connect(nodeId).checkMove({ manifest, size }, { signal })).obstacles;
    } catch (error) {
      return [`the node can't be asked: ${errorMessage(error)}`];
    }
  }
}

function nodeObstacles({ record, state }: NodeView, from: Node): string[] {
  if (record.nodeId === from.nodeId) return [`it is on node ${record.name} already`];
  if (state === "away") return [`node ${record.name} is away`];
  if (state === "degraded") return [`node ${record.name} lacks a service: see berth node inspect ${record.name}`];
  return record.availability === "drain" ? [`node ${record.name} is drained`] : [];
}
