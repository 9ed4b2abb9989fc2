import type { Catalog } from "./catalog.ts";
import type { Directories } from "./directories.ts";
import type { Fault } from "./fault.ts";
import type { KeyLocks } from "./locks.ts";
import type { SnapshotRecord } from "./records.ts";

export interface SweeperParts {
  readonly catalog: Catalog;
  readonly directories: Directories;
  readonly locks: KeyLocks;
  readonly fault: Fault;
  readonly graceMs: number;
}

/**
 * Removes unpacked layers that no image names and nothing stands on, the topmost first, so that after a crash at any point each layer
 * that is left still has those below it.
 *
 * A pull unpacks before its image exists. So a layer that an unpack was asked for is let alone for a while after that call's end,
 * until an image names it; while the call lasts its pins hold it.
 */
export class Sweeper {
  readonly #parts: SweeperParts;
  /** When an unpack last asked for a layer that no image has been seen to name since. ms of performance.now(). */
  readonly #fresh = new Map<string, number>();

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    for (const [key, record] of parts.catalog.entries()) {
      const age = Date.now() - record.created;
      // A clock that was set back must not keep a layer for long.
      if (isUnpacked(record) && age >= 0 && age < parts.graceMs) this.#fresh.set(key, performance.now() - age);
    }
  }

  touch(chainIds: readonly string[]): void {
    const now = performance.now();
    for (const chainId of chainIds) this.#fresh.set(chainId, now);
  }

  /**
   * `named` are the chain ids that images name, `askedAt` is when that was asked (performance.now()): what was touched later may
   * have an image that the answer does not know. Returns ms until a layer's time of grace ends, if there is any such layer.
   */
  async sweep(named: ReadonlySet<string>, askedAt: number, signal: AbortSignal): Promise<number | undefined> {
    // One moment for all: what is too fresh for this round must not count as ended by the end of it, or no round would come for it.
    const now = performance.now();
    for (const [key, touched] of this.#fresh) if (touched < askedAt && named.has(key)) this.#fresh.delete(key);
    for (const [key] of this.#parts.catalog.entries()) {
      // What lies below one that went may have lost its last user by that.
      for (let next = key; next !== "" && !signal.aborted; ) next = (await this.#remove(next, named, now)) ?? "";
    }
    return this.#nextEnd(now);
  }

  /** Gives the parent, or undefined if the layer stays. */
  #remove(key: string, named: ReadonlySet<string>, now: number): Promise<string | undefined> | undefined {
    const { catalog, directories, locks, fault } = this.#parts;
    // Most layers stay: they cost neither a lock nor a turn of the event loop.
    if (!this.#isUnneeded(key, named, now)) return undefined;
    return locks.run(key, async () => {
      const record = catalog.find(key);
      if (record === undefined || !this.#isUnneeded(key, named, now) || !(await catalog.remove(key))) return undefined;
      fault("sweep-recorded");
      directories.removeSoon(record.dir);
      return record.parent;
    });
  }

  #isUnneeded(key: string, named: ReadonlySet<string>, now: number): boolean {
    const record = this.#parts.catalog.find(key);
    if (record === undefined || !isUnpacked(record) || named.has(key) || this.#parts.catalog.inUse(key)) return false;
    const touched = this.#fresh.get(key);
    return touched === undefined || touched + this.#parts.graceMs <= now;
  }

  #nextEnd(now: number): number | undefined {
    let first: number | undefined;
    for (const [key, touched] of this.#fresh) {
      const left = touched + this.#parts.graceMs - now;
      if (left <= 0) this.#fresh.delete(key);
      else if (first === undefined || left < first) first = left;
    }
    return first;
  }
}

const isUnpacked = ({ kind, origin }: SnapshotRecord): boolean => kind === "committed" && origin === undefined;
