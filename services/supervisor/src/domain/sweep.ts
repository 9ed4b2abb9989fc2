import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage } from "@berth/errors";
import { sweepGroups } from "./cgroups.ts";
import type { Parts } from "./containers/parts.ts";
import { cgroupPath } from "./spec/bundle.ts";

/**
 * Removes what no record names: creates that a crash cut short, directories, sockets, writable layers, names, empty cgroups.
 * What other services hold is swept in the background, until they have been reached or `signal` aborts.
 */
export async function sweep(parts: Parts, signal: AbortSignal): Promise<void> {
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
    sweepDirectory(paths.containers, (name) => known.has(name) || registry.creating.has(name)),
    sweepDirectory(paths.volumes, (name) => volumes.has(name) || parts.volumes.isReserved(name)),
    sweepDirectory(paths.bundles, (name) => running.has(name)),
    sweepSockets(parts, running),
    sweepGroups([...ours].filter((id) => !running.has(id))),
    parts.runtimes.sweep(
      (id) => running.has(id),
      (id) => groupOf(parts, id),
    ),
  ]);
  // Not waited for: a service that is away must not keep this one from serving.
  for (const step of [sweepNames, sweepSnapshots]) {
    void untilDone(
      () => step(parts),
      signal,
      (error) => parts.log.warn({ err: errorMessage(error) }, "the sweep is tried again"),
    );
  }
}

/** Of a container without a record only the usual place is known. */
function groupOf({ registry }: Parts, id: string): string {
  const record = registry.get(id)?.record;
  return record === undefined ? `/berth/${id}` : cgroupPath(record);
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;

/** Repeats `step` until it works, with growing pauses between; `failed` is told of the first failure. Never throws. */
export async function untilDone(
  step: () => Promise<void>,
  signal: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  for (let pause = firstPauseMs; !signal.aborted; pause = Math.min(2 * pause, longestPauseMs)) {
    try {
      await step();
      return;
    } catch (error) {
      if (pause === firstPauseMs && !signal.aborted) failed(error);
    }
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
  }
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

const isOurs = ({ registry }: Parts, id: string): boolean =>
  registry.get(id) !== undefined || registry.creating.has(id);

async function sweepNames(parts: Parts): Promise<void> {
  for (const { name, containerId } of await parts.names.own()) {
    if (!isOurs(parts, containerId)) await parts.names.release(name, containerId);
    else await releaseOther(parts, name, containerId);
  }
}

async function sweepSnapshots(parts: Parts): Promise<void> {
  for (const key of await parts.snapshots.keys()) {
    // A view on an image has its container's id and more for a key.
    if (!isOurs(parts, key.slice(0, 64))) await parts.snapshots.remove(key);
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
