import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { BerthError, errorMessage } from "@berth/errors";
import { Level } from "level";
import { type Codec, json } from "./codec.ts";
import { type Database, makeTable, type Table } from "./table.ts";

/** One change. Made by a table (or by an outbox), applied by {@link Store.write}. */
export type Op = (
  | { readonly type: "put"; readonly key: string; readonly value: string; readonly valueEncoding: "utf8" }
  | { readonly type: "put"; readonly key: string; readonly value: Uint8Array; readonly valueEncoding: "view" }
  | { readonly type: "del"; readonly key: string }
) & {
  /** Called once the op is applied; it must not throw. How an outbox learns that there is something to publish. */
  readonly committed?: () => void;
};

export interface Store {
  readonly path: string;
  table<V>(name: string, codec?: Codec<V>): Table<V>;
  /**
   * Applies all ops or none, and resolves once they are on the disk (fsync). Writes are applied in the order of the calls;
   * those made while an fsync is under way share the next one. Rejects with the database's error, INTERNAL.
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
  try {
    await db.open();
  } catch (error) {
    throw openFailure(path, error);
  }
  return new LevelStore(path, db);
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
  #queue: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, db: Database) {
    this.path = path;
    this.#db = db;
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
      const ops = group.flatMap((pending) => pending.ops);
      try {
        await this.#apply(
          ops,
          group.some((pending) => pending.sync),
        );
      } catch (error) {
        const failure = new BerthError(
          "INTERNAL",
          `cannot write to ${this.path}: ${errorMessage(error)}`,
          {},
          { cause: error },
        );
        for (const pending of group) pending.reject(failure);
        continue;
      }
      for (const op of ops) op.committed?.();
      for (const pending of group) pending.resolve();
    }
    // Here, not in a later callback: a write that comes after the loop's last look must start a new flush.
    this.#flushing = undefined;
  }

  async #apply(ops: readonly Op[], sync: boolean): Promise<void> {
    // Each op says its own encoding, which Level's types can't express for a mixed batch.
    const batch = ops as unknown as Parameters<Batch>[0];
    await (this.#db.batch as Batch).call(this.#db, batch, { sync });
  }
}

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
