import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import { sweepGroups } from "./cgroups.ts";
import type { Parts } from "./containers/parts.ts";

/**
 * Removes what no record names: creates that a crash cut short, directories, sockets, writable layers, names, empty cgroups.
 * What cannot be swept now (the snapshotter or NATS is away) is swept in the background, or at the next start.
 */
export async function sweep(parts: Parts): Promise<void> {
  const { paths, registry } = parts;
  const known = new Set(registry.all().map(({ id }) => id));
  const volumes = parts.volumes.names;
  const running = new Set(
    registry
      .all()
      .filter(({ subscription }) => subscription !== undefined)
      .map(({ id }) => id),
  );
  // Only groups of ids that were ours: other engines of this host have theirs beside them.
  const ours = new Set([...known, ...(await namesIn(paths.bundles)), ...(await namesIn(paths.containers))]);
  await Promise.all([
    sweepDirectory(paths.containers, (name) => known.has(name)),
    sweepDirectory(paths.volumes, (name) => volumes.has(name)),
    sweepDirectory(paths.bundles, (name) => running.has(name)),
    sweepSockets(parts, running),
    sweepGroups([...ours].filter((id) => !running.has(id))),
  ]);
  // Not waited for: a service that is away must not keep this one from serving.
  void sweepRemote(parts).catch((error: unknown) => {
    parts.log.warn({ err: errorMessage(error) }, "the sweep goes on at the next start");
  });
}

async function sweepDirectory(path: string, keep: (name: string) => boolean): Promise<void> {
  const names = await readdir(path).catch(() => []);
  await Promise.all(
    names.filter((name) => !keep(name)).map((name) => rm(join(path, name), { recursive: true, force: true })),
  );
}

async function sweepSockets({ paths }: Parts, running: ReadonlySet<string>): Promise<void> {
  const live = new Set([...running].map((id) => paths.socket(id)));
  const names = await readdir(paths.sockets).catch(() => []);
  const dead = names.map((name) => join(paths.sockets, name)).filter((path) => !live.has(path));
  await Promise.all(dead.map((path) => rm(path, { force: true })));
}

const namesIn = (path: string): Promise<string[]> => readdir(path).catch(() => []);

async function sweepRemote(parts: Parts): Promise<void> {
  const isOurs = (id: string) => parts.registry.get(id) !== undefined || parts.registry.creating.has(id);
  for (const { name, containerId } of await parts.names.own()) {
    if (!isOurs(containerId)) await parts.names.release(name, containerId);
    else await releaseOther(parts, name, containerId);
  }
  for (const key of await parts.snapshots.keys()) {
    // A view on an image has its container's id and more for a key.
    if (!isOurs(key.slice(0, 64))) await parts.snapshots.remove(key);
  }
}

/** A name that its container does not have (any more): a rename was cut short, before or after its record. */
async function releaseOther(parts: Parts, name: string, containerId: string): Promise<void> {
  const container = parts.registry.get(containerId);
  // In its turn: a rename under way has claimed the new name, and not recorded it.
  await container?.mutex.run(async () => {
    if (container.record.name !== name) await parts.names.release(name, containerId);
  });
}
