import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { errorMessage } from "@berth/errors";
import { removeTree } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { closeListener } from "../containers/start.ts";
import type { ContainerRecord } from "../model.ts";

/**
 * A container is another node's: its record goes, then its data, with the volumes that went along. Nobody is told of an end, for it has
 * none. @throws what the record's going throws
 */
export function leaveNothing(parts: Parts, container: Container, volumes: readonly string[]): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (container.removed) return;
    await closeListener(parts, container);
    await parts.records.commit({ del: record.id, delExecs: [...container.execs], delVolumes: volumes });
    parts.registry.gone(container);
    for (const { type, name } of record.mounts) if (type === "volume") parts.volumes.letGo(name, record.id);
    for (const name of volumes) {
      parts.volumes.drop(name);
      parts.volumes.unreserve(name);
    }
    container.hasMoved();
    parts.fault("move.erased");
    parts.registry.discarding(discardFiles(parts, record, volumes));
  });
}

/** Files of what has no record (any more). Never throws: the sweep at the next start takes what is left. */
export async function discardFiles(parts: Parts, record: ContainerRecord, volumes: readonly string[]): Promise<void> {
  const views = record.mounts.flatMap(({ view }) => (view === undefined ? [] : [view.key]));
  const results = await Promise.allSettled([
    ...[record.id, ...views].map((key) => parts.snapshots.remove(key)),
    ...volumes.map((name) => removeTree(dirname(parts.paths.volume(name)))),
    rm(parts.paths.container(record.id), { recursive: true, force: true }),
  ]);
  for (const result of results) {
    if (result.status === "rejected")
      parts.log.warn(
        { container: record.id, err: errorMessage(result.reason) },
        "left behind by a move, will be swept",
      );
  }
}
