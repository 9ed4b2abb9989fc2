import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { BerthError, errorMessage } from "@berth/errors";
import { Level } from "level";
import { type Codec, json } from "./codec.ts";
import { Reserve } from "./reserve.ts";
import { type Database, makeTable, type Table } from "./table.ts";

/** One change. Made by a table (or by an outbox), applied by {@link Store.write}. */
export type Op = (
  | { readonly type: "put"; readonly key: string; readonly value: string; readonly valueEncoding: "utf8" }
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array; readonly valueEncoding: "view" }
  | { readonly type: "del"; readonly key: string }
) & {
  /** Is worth the reserve, as a deletion is: room comes of it. */
  readonly urgent?: boolean;
  /** Called once the op is applied; it must not throw. How an outbox learns that there is something to publish. */
  readonly committed?: () => void;
};

export interface Store {
  readonly path: string;
  table<V>(name: string, codec?: Codec<V>): Table<V>;
  /**
   * Applies all ops or none, and resolves once they are on the disk (fsync). Writes are applied in the order of the calls;
   * those made while an fsync is under way share the next one. Rejects with the database's error, INTERNAL. On a full disk what deletes
   * something, or is urgent, still works, out of a reserve.
   */
  write(ops: readonly Op[]): Promise<void>;
  /** The same without fsync: a power cut may take it back, a crash of the process may not. */
  writeLazy(ops: readonly Op[]): Promise<void>;
  /** Finishes the writes asked for, then closes. May be called twice. */
  close(): Promise<void>;
}

/** Opens, or makes, the database in directory `path`. Throws IN_USE when another process holds it. */
export async function openStore(path: string): Promise<Store> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const db: Database = new Level<string, Uint8Array>(path, {
    keyEncoding: "utf8",
    valueEncoding: "view",
    // Small: a service's records are few and hot ones are held by the service itself.
    cacheSize: 2 * 1024 * 1024,
    writeBufferSize: 2 * 1024 * 1024,
  });
  const reserve = new Reserve(path);
  try {
    await open(db, reserve);
  } catch (error) {
    throw openFailure(path, error);
  }
  return new LevelStore(path, db, reserve);
}

/** To open takes room for another log, and for what the last one held. */
async function open(db: Database, reserve: Reserve): Promise<void> {
  try {
    await db.open();
    reserve.keep();
  } catch (error) {
    if (!isFull(causeOf(error))) throw error;
    await reserve.release();
    await db.open();
    await reserve.retake();
  }
}

type Batch = (ops: { type: "put"; key: string; value: Uint8Array }[], options: { sync: boolean }) => Promise<void>;

interface Pending {
  ops: readonly Op[];
  sync: boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

class LevelStore implements Store {
  readonly path: string;
  readonly #db: Database;
  readonly #reserve: Reserve;
  #queue: Pending[] = [];
  /** Why the last write failed: the log may end in half of it, and what is written behind that is not found again. */
  #torn: BerthError | undefined;
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, db: Database, reserve: Reserve) {
    this.path = path;
    this.#db = db;
    this.#reserve = reserve;
  }

  table<V>(name: string, codec: Codec<V> = json as Codec<V>): Table<V> {
    return makeTable(this.#db, name, codec);
  }

  write(ops: readonly Op[]): Promise<void> {
    return this.#enqueue(ops, true);
  }

  writeLazy(ops: readonly Op[]): Promise<void> {
    return this.#enqueue(ops, false);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#flushing;
      await this.#reserve.settled();
      await this.#db.close();
    })();
    return this.#closing;
  }

  #enqueue(ops: readonly Op[], sync: boolean): Promise<void> {
    if (this.#closing !== undefined)
      return Promise.reject(new BerthError("UNAVAILABLE", `the store ${this.path} is closed`));
    return new Promise((resolve, reject) => {
      this.#queue.push({ ops, sync, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** One batch at a time: an fsync costs milliseconds, so everything that waits for it goes into the next batch together. */
  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      await this.#writeGroup(group);
    }
    // Here, not in a later callback: a write that comes after the loop's last look must start a new flush.
    this.#flushing = undefined;
  }

  async #writeGroup(group: readonly Pending[]): Promise<void> {
    const able = this.#torn === undefined ? group : await this.#mend(group, this.#torn);
    if (able.length === 0) return;
    const ops = able.flatMap((pending) => pending.ops);
    const sync = able.some((pending) => pending.sync);
    const isFirstTry = this.#torn === undefined;
    try {
      await this.#apply(ops, sync);
    } catch (error) {
      this.#torn = this.#failure(error);
      if (isFirstTry && isFull(error) && able.some(mayUseReserve)) return this.#writeGroup(able);
      for (const pending of able) pending.reject(this.#torn);
      return;
    }
    this.#torn = undefined;
    if (isFirstTry) this.#reserve.keep();
    else await this.#reserve.retake();
    for (const op of ops) op.committed?.();
    for (const pending of able) pending.resolve();
  }

  /** Begins another log. Gives those that may go on; the others are rejected: on a full disk all that bring no room. */
  async #mend(group: readonly Pending[], torn: BerthError): Promise<readonly Pending[]> {
    let able = group;
    try {
      if (!(await this.#reserve.isPlenty())) {
        able = group.filter(mayUseReserve);
        for (const pending of group) if (!able.includes(pending)) pending.reject(torn);
        if (able.length === 0) return able;
        await this.#reserve.release();
      }
      await this.#db.close();
      await this.#db.open();
      return able;
    } catch (error) {
      for (const pending of able) pending.reject(this.#failure(error));
      return [];
    }
  }

  #failure(error: unknown): BerthError {
    const message = `cannot write to ${this.path}: ${errorMessage(causeOf(error))}`;
    return new BerthError("INTERNAL", message, {}, { cause: error });
  }

  async #apply(ops: readonly Op[], sync: boolean): Promise<void> {
    // Each op says its own encoding, which Level's types can't express for a mixed batch.
    const batch = ops as unknown as Parameters<Batch>[0];
    await (this.#db.batch as Batch).call(this.#db, batch, { sync });
  }
}

/** What is behind an opening that failed, whose own message is always the same. */
const causeOf = (error: unknown): unknown => (error instanceof Error ? (error.cause ?? error) : error);
const mayUseReserve = ({ ops }: Pending): boolean => ops.some(({ type, urgent }) => type === "del" || urgent === true);
const isFull = (error: unknown): boolean => errorMessage(error).includes("No space left on device");

function openFailure(path: string, error: unknown): BerthError {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  if (cause?.code === "LEVEL_LOCKED") {
    return new BerthError(
      "IN_USE",
      `the state directory ${dirname(path)} is in use by another process (${path} is locked)`,
    );
  }
  const reason = errorMessage(cause ?? error);
  return new BerthError("INTERNAL", `cannot open the database ${path}: ${reason}`, {}, { cause: error });
}
