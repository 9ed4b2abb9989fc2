/** What one service owns, kept in Level: tables, atomic durable batches. The only package that knows Level. */
export { type Codec, json, raw } from "./codec.ts";
export { type Op, openStore, type Store } from "./store.ts";
export type { Range, Table } from "./table.ts";
