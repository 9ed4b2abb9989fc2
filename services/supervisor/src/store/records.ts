import type { Outbox } from "@berth/bus";
import type { Logger } from "@berth/log";
import type { Op, Store } from "@berth/store";
import type { Change, Records } from "../domain/containers/parts.ts";
import type { ContainerRecord, ExecRecord, ImportRecord, VolumeRecord } from "../domain/model.ts";

/** Events on the way to an end. */
const ends = new Set(["kill", "stop", "die", "oom"]);
const hasEnded = ({ state: { status } }: ContainerRecord): boolean => status === "exited" || status === "dead";

/** The supervisor's records in Level: containers, execs, volumes, a few settings. Events go in the same batch. */
export function makeRecords(store: Store, outbox: Outbox, log: Logger): Records {
  const containers = store.table<ContainerRecord>("containers");
  const execs = store.table<ExecRecord>("execs");
  const volumes = store.table<VolumeRecord>("volumes");
  const imports = store.table<ImportRecord>("imports");
  /** How far logs that go to a server have been sent. */
  const shipped = store.table<number>("shipped");
  const meta = store.table<string>("meta");

  const opsOf = (change: Change): Op[] => {
    const ops: Op[] = [];
    // An end has to be known before what has ended can be removed.
    if (change.put) ops.push({ ...containers.putOp(change.put.id, change.put), urgent: hasEnded(change.put) });
    if (change.del !== undefined) ops.push(containers.delOp(change.del), shipped.delOp(change.del));
    if (change.shipped) ops.push(shipped.putOp(change.shipped.id, change.shipped.position));
    if (change.putExec) ops.push(execs.putOp(change.putExec.id, change.putExec));
    for (const id of change.delExecs ?? []) ops.push(execs.delOp(id));
    if (change.putVolume) ops.push(volumes.putOp(change.putVolume.name, change.putVolume));
    for (const volume of change.putVolumes ?? []) ops.push(volumes.putOp(volume.name, volume));
    if (change.putImport) ops.push(imports.putOp(change.putImport.record.id, change.putImport));
    if (change.delImport !== undefined) ops.push(imports.delOp(change.delImport));
    for (const name of change.delVolumes ?? []) ops.push(volumes.delOp(name));
    if (change.releaseName) ops.push(outbox.releaseNameOp(change.releaseName.name, change.releaseName.containerId));
    for (const event of change.events ?? []) ops.push({ ...outbox.op(event), urgent: ends.has(event.action) });
    return ops;
  };

  return {
    async load() {
      const [containerRecords, execRecords, volumeRecords, importRecords, positions] = await Promise.all([
        Array.fromAsync(containers.entries(), ([, record]) => record),
        Array.fromAsync(execs.entries(), ([, record]) => record),
        Array.fromAsync(volumes.entries(), ([, record]) => record),
        Array.fromAsync(imports.entries(), ([, record]) => record),
        Array.fromAsync(shipped.entries()),
      ]);
      return {
        containers: containerRecords,
        execs: execRecords,
        volumes: volumeRecords,
        imports: importRecords,
        shipped: new Map(positions),
      };
    },
    commit: (change) => store.write(opsOf(change)),
    commitLazily: (change) => store.writeLazy(opsOf(change)),
    commitSoon(change) {
      store.writeLazy(opsOf(change)).catch((error: unknown) => log.error({ err: error }, "cannot record a change"));
    },
    getMeta: (key) => meta.get(key),
    setMeta: (key, value) => store.write([meta.putOp(key, value)]),
  };
}
