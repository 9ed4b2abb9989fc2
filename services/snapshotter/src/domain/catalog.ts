import { BerthError } from "@berth/errors";
import type { Change, Records, SnapshotRecord } from "./records.ts";

/**
 * All records, held in memory (a host has thousands, not millions), and what may not be removed: snapshots that others stand on and
 * those that a call under way is about to stand on.
 */
export class Catalog {
  readonly #records: Records;
  readonly #byKey: Map<string, SnapshotRecord>;
  readonly #children = new Map<string, number>();
  readonly #pins = new Map<string, number>();
  /** Removals being written. */
  readonly #leaving = new Map<string, Promise<unknown>>();

  private constructor(records: Records, byKey: Map<string, SnapshotRecord>) {
    this.#records = records;
    this.#byKey = byKey;
    for (const { parent } of byKey.values()) count(this.#children, parent, 1);
  }

  static async open(records: Records): Promise<Catalog> {
    return new Catalog(records, await records.all());
  }

  find(key: string): SnapshotRecord | undefined {
    return this.#byKey.get(key);
  }

  /** @throws NOT_FOUND */
  get(key: string): SnapshotRecord {
    const record = this.#byKey.get(key);
    if (record === undefined) throw new BerthError("NOT_FOUND", `no snapshot ${key}`, { key });
    return record;
  }

  entries(): [key: string, record: SnapshotRecord][] {
    return [...this.#byKey];
  }

  /** Seen by others only once it is on the medium. */
  async write(changes: readonly Change[]): Promise<void> {
    await this.#records.write(changes);
    for (const { key, record } of changes) {
      const before = this.#byKey.get(key);
      if (before !== undefined) count(this.#children, before.parent, -1);
      if (record === null) {
        this.#byKey.delete(key);
        continue;
      }
      this.#byKey.set(key, record);
      count(this.#children, record.parent, 1);
    }
  }

  inUse(key: string): boolean {
    return this.#children.has(key) || this.#pins.has(key);
  }

  /**
   * Deletes a record, or gives false when it is in use. That is looked at once, before the write: who pins the key during the write
   * is too late, and learns so by settled().
   */
  async remove(key: string): Promise<boolean> {
    if (this.inUse(key)) return false;
    const written = this.write([{ key, record: null }]);
    this.#leaving.set(
      key,
      written.catch(() => {}),
    );
    try {
      await written;
    } finally {
      this.#leaving.delete(key);
    }
    return true;
  }

  /** For keys that are pinned: from here on they stay what they are, there or not. */
  async settled(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#leaving.get(key);
  }

  /** Keeps what is or will be called `key` from being removed until the returned function is called. */
  pin(key: string): () => void {
    if (key === "") return () => {};
    count(this.#pins, key, 1);
    let held = true;
    return () => {
      if (held) count(this.#pins, key, -1);
      held = false;
    };
  }

  /** The records that `parent` stands on, itself first. @throws DATA_LOSS when one is missing */
  chain(parent: string): { key: string; record: SnapshotRecord }[] {
    const chain: { key: string; record: SnapshotRecord }[] = [];
    for (let key = parent; key !== ""; ) {
      const record = this.#byKey.get(key);
      if (record === undefined) {
        throw new BerthError("DATA_LOSS", `layer ${key} is not there any more and must be unpacked again`, {
          chainId: key,
        });
      }
      chain.push({ key, record });
      key = record.parent;
    }
    return chain;
  }

  close(): Promise<void> {
    return this.#records.close();
  }
}

function count(counts: Map<string, number>, key: string, by: number): void {
  if (key === "") return;
  const now = (counts.get(key) ?? 0) + by;
  if (now > 0) counts.set(key, now);
  else counts.delete(key);
}
