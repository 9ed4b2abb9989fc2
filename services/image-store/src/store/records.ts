import type { Op, Store, Table } from "@berth/store";
import type { Change, ImageEvent, Records, TableName, Tables } from "../domain/records.ts";

type AllTables = { [T in TableName]: Table<Tables[T]> };

/**
 * The image store's records in Level, one table a kind.
 * @param eventOp makes the op that carries an event; it is in the same batch as the change it tells of
 */
export function levelRecords(store: Store, eventOp: (event: ImageEvent) => Op): Records {
  const tables: AllTables = {
    refs: store.table("refs"),
    images: store.table("images"),
    manifests: store.table("manifests"),
    leases: store.table("leases"),
    held: store.table("held"),
  };
  const toOps = (changes: readonly Change[]): Op[] =>
    changes.map((change) => ("event" in change ? eventOp(change.event) : tableOp(tables[change.table], change)));
  return {
    load: (table) => tables[table].entries(),
    apply: (changes) => store.write(toOps(changes)),
    applyLazy: (changes) => store.writeLazy(toOps(changes)),
  };
}

function tableOp<T extends TableName>(table: AllTables[T], change: { key: string; value: Tables[T] | undefined }): Op {
  return change.value === undefined
    ? table.delOp(change.key)
    : (table as Table<Tables[T]>).putOp(change.key, change.value);
}
