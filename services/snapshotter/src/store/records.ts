import type { Store } from "@berth/store";
import type { Records, SnapshotRecord } from "../domain/records.ts";

export function levelRecords(store: Store): Records {
  const table = store.table<SnapshotRecord>("snapshots");
  return {
    async all() {
      const records = new Map<string, SnapshotRecord>();
      for await (const [key, record] of table.entries()) records.set(key, record);
      return records;
    },
    write: (changes) =>
      store.write(changes.map(({ key, record }) => (record === null ? table.delOp(key) : table.putOp(key, record)))),
    close: () => store.close(),
  };
}
