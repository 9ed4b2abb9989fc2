import { randomUUID } from "node:crypto";
import { BerthError } from "@berth/errors";
import type { Digest } from "@berth/oci";
import type { Change, LeaseRecord, Records } from "./records.ts";

/** seconds */
const maxTtl = 86_400;
const defaultTtl = 3600;
/** A renewed lease is written again only after so much of its time is gone, to spare the disk. */
const renewAfter = 0.25;
/** Content that came without a lease is kept so long for its caller to name it. ms */
const grace = 10 * 60_000;
/** Leases at a time; a caller that makes more has lost track of them. */
const maxLeases = 10_000;

/** Holds content between its arrival and the moment when an image names it. */
export class Leases {
  readonly #records: Records;
  readonly #leases = new Map<string, LeaseRecord>();
  readonly #held = new Map<string, Set<Digest>>();
  /** Content without a lease, and when it came. A restart forgets it; its caller has failed by then as well. */
  readonly #recent = new Map<Digest, number>();

  private constructor(records: Records) {
    this.#records = records;
  }

  static async open(records: Records): Promise<Leases> {
    const leases = new Leases(records);
    for await (const [id, record] of records.load("leases")) leases.#leases.set(id, record);
    for await (const [key] of records.load("held")) {
      const [id = "", digest = ""] = split(key);
      leases.#heldBy(id).add(digest);
    }
    return leases;
  }

  /** @param ttlSeconds 0 for the default; at most a day */
  async create(ttlSeconds: number): Promise<string> {
    if (!Number.isInteger(ttlSeconds) || ttlSeconds < 0 || ttlSeconds > maxTtl) {
      throw new BerthError("INVALID_ARGUMENT", `a lease lasts 1 to ${maxTtl} seconds, not ${ttlSeconds}`);
    }
    if (this.#leases.size >= maxLeases) {
      await this.expire();
      if (this.#leases.size >= maxLeases) throw new BerthError("RESOURCE_EXHAUSTED", "too many leases");
    }
    const id = randomUUID();
    const ttl = ttlSeconds || defaultTtl;
    const record = { expires: Date.now() + ttl * 1000, ttlSeconds: ttl };
    await this.#records.applyLazy([{ table: "leases", key: id, value: record }]);
    this.#leases.set(id, record);
    return id;
  }

  /** Idempotent: a lease that is not there is as good as deleted. */
  async delete(id: string): Promise<void> {
    if (!this.#leases.has(id)) return;
    await this.#records.applyLazy(this.#removal(id));
    this.#forget(id);
  }

  /**
   * Holds content. Called before the content is written, so that no collection can come in between.
   * @param id empty: held for a short while only
   * @throws NOT_FOUND when there is no such lease
   */
  async hold(id: string, digests: readonly Digest[]): Promise<void> {
    if (id === "") {
      for (const digest of digests) this.#recent.set(digest, Date.now());
      return;
    }
    const lease = this.#leases.get(id);
    if (lease === undefined || lease.expires < Date.now()) {
      throw new BerthError("NOT_FOUND", `no such lease: ${id.slice(0, 100)}`);
    }
    const held = this.#heldBy(id);
    const changes: Change[] = digests
      .filter((digest) => !held.has(digest))
      .map((digest) => ({ table: "held", key: `${id}/${digest}`, value: true }));
    const expires = Date.now() + lease.ttlSeconds * 1000;
    if (expires - lease.expires > lease.ttlSeconds * 1000 * renewAfter) {
      changes.push({ table: "leases", key: id, value: { ...lease, expires } });
    }
    for (const digest of digests) held.add(digest);
    this.#leases.set(id, { ...lease, expires });
    // Lazily: after a power cut the caller starts over, and its content is at worst fetched once more.
    if (changes.length > 0) await this.#records.applyLazy(changes);
  }

  /** All content held now. */
  *digests(): Generator<Digest> {
    for (const held of this.#held.values()) yield* held;
    yield* this.#recent.keys();
  }

  /** Ends what is over. */
  async expire(now = Date.now()): Promise<void> {
    for (const [digest, since] of this.#recent) if (now - since > grace) this.#recent.delete(digest);
    const over = [...this.#leases].filter(([, { expires }]) => expires < now).map(([id]) => id);
    const orphans = [...this.#held.keys()].filter((id) => !this.#leases.has(id));
    for (const id of [...over, ...orphans]) {
      await this.#records.applyLazy(this.#removal(id));
      this.#forget(id);
    }
  }

  /** Content that came without a lease and has a name now, or is not wanted any more. */
  release(digests: Iterable<Digest>): void {
    for (const digest of digests) this.#recent.delete(digest);
  }

  #removal(id: string): Change[] {
    const held = [...(this.#held.get(id) ?? [])];
    return [
      { table: "leases", key: id, value: undefined },
      ...held.map((digest): Change => ({ table: "held", key: `${id}/${digest}`, value: undefined })),
    ];
  }

  #forget(id: string): void {
    this.#leases.delete(id);
    this.#held.delete(id);
  }

  #heldBy(id: string): Set<Digest> {
    const held = this.#held.get(id) ?? new Set();
    this.#held.set(id, held);
    return held;
  }
}

function split(key: string): [id: string, digest: string] {
  const slash = key.indexOf("/");
  return [key.slice(0, slash), key.slice(slash + 1)];
}
