import { createHash } from "node:crypto";
import type { Instance, Load, NodeRecord } from "@berth/bus";
import { type Candidate, place, suitable, type Wish } from "./placement.ts";

/** ms after which a node's own beat tells of a container that was placed there. */
const beatMs = 2_000;
const noLoad: Load = { containers: 0, cpus: 0, memory: 0 };

interface Placed extends Load {
  at: number;
}

/** Chooses nodes, and reckons with what it has just placed, which their beats do not tell of yet. */
export class Scheduler {
  readonly #hostId: string;
  readonly #placed = new Map<string, Placed[]>();

  constructor(hostId: string) {
    this.#hostId = hostId;
  }

  /**
   * @param key with one, the same node every time among those that suit: that node knows the key again
   * @throws CONFLICT when no node suits
   */
  choose(instances: readonly Instance[], records: readonly NodeRecord[], wish: Wish, key?: string): string {
    const candidates = this.#candidates(instances, records);
    const { nodeId } = key === undefined ? place(candidates, wish) : byKey(suitable(candidates, wish), key);
    const placed = this.#placed.get(nodeId) ?? [];
    this.#placed.set(nodeId, placed);
    placed.push({ containers: 1, cpus: wish.cpus, memory: wish.memory, at: performance.now() });
    return nodeId;
  }

  #candidates(instances: readonly Instance[], records: readonly NodeRecord[]): Candidate[] {
    const byId = new Map(records.map((record) => [record.nodeId, record]));
    return instances.map(({ nodeId, nodeName, hostId, load = noLoad }) => {
      const { name = nodeName, labels = {}, availability = "active", cpus = 0, memory = 0 } = byId.get(nodeId) ?? {};
      const total = this.#recent(nodeId).reduce(add, load);
      return { nodeId, name, labels, availability, cpus, memory, load: total, sameHost: hostId === this.#hostId };
    });
  }

  #recent(nodeId: string): Placed[] {
    const oldest = performance.now() - beatMs;
    const recent = (this.#placed.get(nodeId) ?? []).filter(({ at }) => at > oldest);
    if (recent.length > 0) this.#placed.set(nodeId, recent);
    else this.#placed.delete(nodeId);
    return recent;
  }
}

const add = (a: Load, b: Load): Load => ({
  containers: a.containers + b.containers,
  cpus: a.cpus + b.cpus,
  memory: a.memory + b.memory,
});

/** By rendezvous hashing: every gateway finds the same one, and few keys move when a node comes or goes. */
function byKey(candidates: readonly Candidate[], key: string): Candidate {
  const weigh = ({ nodeId }: Candidate) => createHash("sha256").update(`${nodeId}/${key}`).digest("hex");
  return candidates.reduce((best, one) => (weigh(one) > weigh(best) ? one : best));
}
