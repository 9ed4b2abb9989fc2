import type { EventRecord } from "@berth/bus";
import { errorMessage } from "@berth/errors";
import type { Parts } from "../containers/parts.ts";
import type { ContainerRecord, MountPoint } from "../model.ts";
import { volumeEvent } from "../volumes/events.ts";
import { checkSubpath } from "./sources.ts";

const volumesOf = ({ mounts }: ContainerRecord): MountPoint[] => mounts.filter(({ type }) => type === "volume");

/**
 * Before a container's process starts: mounts its volumes and gives their directories by destination. On failure those mounted already are
 * unmounted again. @throws what the driver says, and what is wrong with a subpath
 */
export async function mountVolumes(parts: Parts, record: ContainerRecord): Promise<Map<string, string>> {
  const directories = new Map<string, string>();
  const done: MountPoint[] = [];
  try {
    for (const point of volumesOf(record)) {
      const path = await parts.volumes.mount(point.name, point.mountId);
      done.push(point);
      if (point.subpath !== "") await checkSubpath(path, point.subpath);
      directories.set(point.destination, path);
    }
  } catch (error) {
    for (const point of done) await unmount(parts, record, point);
    throw error;
  }
  if (done.length > 0) parts.records.commitSoon({ events: done.map((point) => mountEvent(parts, record, point)) });
  return directories;
}

function mountEvent({ nodeId }: Parts, { id }: ContainerRecord, point: MountPoint): EventRecord {
  return volumeEvent(nodeId, "mount", point.name, {
    container: id,
    destination: point.destination,
    driver: point.driver,
    propagation: point.propagation,
    "read/write": String(point.rw),
  });
}

/** After its end: unmounts them, and gives the events that tell of it. A driver that fails is logged; nothing can be done about it. */
export async function unmountVolumes(parts: Parts, record: ContainerRecord): Promise<EventRecord[]> {
  const events: EventRecord[] = [];
  for (const point of volumesOf(record)) {
    await unmount(parts, record, point);
    events.push(volumeEvent(parts.nodeId, "unmount", point.name, { container: record.id, driver: point.driver }));
  }
  return events;
}

async function unmount(parts: Parts, { id }: ContainerRecord, { name, driver, mountId }: MountPoint): Promise<void> {
  await parts.volumes.unmount(name, driver, mountId).catch((error: unknown) => {
    parts.log.warn({ container: id, volume: name, err: errorMessage(error) }, "cannot unmount a volume");
  });
}

/** A container that runs since before this process: its mounts are uses of its volumes. */
export function adoptVolumes(parts: Parts, record: ContainerRecord): void {
  for (const { name, driver, mountId } of volumesOf(record)) {
    if (driver === parts.volumes.parts.drivers.local.name) parts.volumes.parts.drivers.local.adopt(name, mountId);
  }
}
