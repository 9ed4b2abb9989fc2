import { createHash } from "node:crypto";
import type { Instance, Load, NodeRecord } from "@berth/bus";
import { type Candidate, place, suitable, type Wish } from "./placement.ts";

/** ms after which a node that tells of another load tells of a container that was placed there too, and after which it must have. */
const toldMs = 250;
const longestMs = 2_000;
const noLoad: Load = { containers: 0, cpus: 0, memory: 0 };

interface Placed extends Load {
  at: number;
  /** What its node told before. */
  before: Load | undefined;
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
    const before = instances.find((instance) => instance.nodeId === nodeId)?.load;
    placed.push({ containers: 1, cpus: wish.cpus, memory: wish.memory, at: performance.now(), before });
    return nodeId;
  }

  /** Whether one node suits. @throws CONFLICT when it does not */
  check(nodeId: string, instances: readonly Instance[], records: readonly NodeRecord[], wish: Wish): void {
    const own = instances.filter((instance) => instance.nodeId === nodeId);
    suitable(this.#candidates(own, records), wish);
  }

  #candidates(instances: readonly Instance[], records: readonly NodeRecord[]): Candidate[] {
    const byId = new Map(records.map((record) => [record.nodeId, record]));
    return instances.map(({ nodeId, nodeName, hostId, load }) => {
      const {
        name = nodeName,
        labels = {},
        availability = "active",
        cpus = 0,
        memory = 0,
        runtimes = [],
      } = byId.get(nodeId) ?? {};
      const total = this.#untold(nodeId, load).reduce(add, load ?? noLoad);
      return {
        nodeId,
        name,
        labels,
        availability,
        cpus,
        memory,
        load: total,
        runtimes,
        sameHost: hostId === this.#hostId,
      };
    });
  }

  #untold(nodeId: string, load: Load | undefined): Placed[] {
    const now = performance.now();
    const untold = (this.#placed.get(nodeId) ?? []).filter(
      ({ at, before }) => now - at < (before === load ? longestMs : toldMs),
    );
    if (untold.length > 0) this.#placed.set(nodeId, untold);
    else this.#placed.delete(nodeId);
    return untold;
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
