import type { Bus, NodeRecord } from "@berth/bus";
import { errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";

/** ms without a node before it counts as away: a supervisor that is restarted is back within 2 s, and is missed only after 3. */
const graceMs = 3_000;
const lookEveryMs = 1_000;

type Parts = { bus: Pick<Bus, "connected" | "instances" | "nodes">; log: Logger };

/**
 * Notes in the nodes' records who is away and since when, so that every gateway says the same, one that starts later too. All
 * gateways do so: whoever comes first is right.
 */
export class Attendance {
  readonly #parts: Parts;
  readonly #missingSince = new Map<string, number>();
  #records: readonly NodeRecord[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** With a single node there is nobody to tell. */
  update(records: readonly NodeRecord[]): void {
    this.#records = records;
    const isNeeded = records.length > 1;
    if (isNeeded && this.#timer === undefined) {
      this.#timer = setInterval(() => this.#look(), lookEveryMs);
      this.#timer.unref();
    }
    if (!isNeeded) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #look(): void {
    const { bus } = this.#parts;
    // Without NATS nobody is heard of, which says nothing about them.
    if (!bus.connected) return void this.#missingSince.clear();
    const there = new Set(bus.instances("supervisor").map(({ nodeId }) => nodeId));
    for (const { nodeId, awaySince } of this.#records) {
      if (there.has(nodeId)) {
        this.#missingSince.delete(nodeId);
        if (awaySince !== undefined) this.#note(nodeId, undefined);
        continue;
      }
      const since = this.#missingSince.get(nodeId) ?? Date.now();
      this.#missingSince.set(nodeId, since);
      if (awaySince === undefined && Date.now() - since >= graceMs) this.#note(nodeId, new Date(since).toISOString());
    }
  }

  #note(nodeId: string, awaySince: string | undefined): void {
    const { bus, log } = this.#parts;
    bus.nodes
      .change(nodeId, (record) => {
        // Another gateway was first.
        if ((record.awaySince === undefined) === (awaySince === undefined)) return record;
        const { awaySince: _, ...rest } = record;
        return awaySince === undefined ? rest : { ...rest, awaySince };
      })
      .catch((error: unknown) => log.debug({ node: nodeId, err: errorMessage(error) }, "cannot note who is away"));
  }
}
