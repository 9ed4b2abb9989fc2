import { BerthError } from "@berth/errors";
import type { Level } from "level";
import type { Codec } from "./codec.ts";
import type { Op } from "./store.ts";

/** Bounds of a scan, within the table. `prefix` may be combined with `reverse` and `limit`, not with `gte` or `lt`. */
export interface Range {
  gte?: string;
  lt?: string;
  prefix?: string;
  limit?: number;
  reverse?: boolean;
}

/** Keys are strings in the order of their UTF-8 bytes. */
export interface Table<V> {
  get(key: string): Promise<V | undefined>;
  getMany(keys: readonly string[]): Promise<(V | undefined)[]>;
  has(key: string): Promise<boolean>;
  /** A consistent view: what is written while the loop runs is not seen by it. */
  entries(range?: Range): AsyncIterable<[key: string, value: V]>;
  keys(range?: Range): AsyncIterable<string>;
  /** Ops do nothing until given to store.write() or store.writeLazy(). */
  putOp(key: string, value: V): Op;
  delOp(key: string): Op;
}

export type Database = Level<string, Uint8Array>;

/** Between a table's name and the key; names can't hold it, so no table's range reaches into another's. */
const separator = "/";
const afterSeparator = "0";

export function makeTable<V>(db: Database, name: string, codec: Codec<V>): Table<V> {
  if (!/^[a-z0-9-]{1,64}$/.test(name)) throw new BerthError("INVALID_ARGUMENT", `"${name}" is not a table name`);
  const start = name + separator;
  const decode = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : codec.decode(bytes));
  return {
    get: async (key) => decode(await db.get(start + key)),
    getMany: async (keys) => (await db.getMany(keys.map((key) => start + key))).map(decode),
    has: (key) => db.has(start + key),
    async *entries(range = {}) {
      for await (const [key, bytes] of db.iterator(bounds(name, range))) {
        yield [key.slice(start.length), codec.decode(bytes)];
      }
    },
    async *keys(range = {}) {
      for await (const key of db.keys(bounds(name, range))) yield key.slice(start.length);
    },
    putOp(key, value) {
      const encoded = codec.encode(value);
      return typeof encoded === "string"
        ? { type: "put", key: start + key, value: encoded, valueEncoding: "utf8" }
        : { type: "put", key: start + key, value: encoded, valueEncoding: "view" };
    },
    delOp: (key) => ({ type: "del", key: start + key }),
  };
}

function bounds(name: string, { gte, lt, prefix, limit, reverse }: Range) {
  const start = name + separator;
  const common = { ...(limit !== undefined && { limit }), ...(reverse !== undefined && { reverse }) };
  if (prefix !== undefined && prefix !== "") {
    // No string sorts between PREFIX + U+10FFFF… and what follows the prefix: U+10FFFF is no character anyone stores.
    return { gte: start + prefix, lt: `${start}${prefix}\u{10ffff}`, ...common };
  }
  return { gte: start + (gte ?? ""), lt: lt === undefined ? name + afterSeparator : start + lt, ...common };
}
