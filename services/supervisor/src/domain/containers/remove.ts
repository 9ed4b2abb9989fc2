import { rm, rmdir, unlink } from "node:fs/promises";
import { errorMessage } from "@berth/errors";
import { conflict, noSuchContainer } from "../errors.ts";
import { drainShipping } from "../logs/ship/shipping.ts";
import { releasePoints } from "../mounts/points.ts";
import { refuseMoving } from "../moves/guard.ts";
import { SIGKILL } from "../validate/signals.ts";
import type { Container } from "./container.ts";
import { ownEtcFiles } from "./etc-files.ts";
import { containerEvent } from "./events.ts";
import { cancelRestart } from "./exit.ts";
import type { Parts } from "./parts.ts";
import { closeListener } from "./start.ts";
import { isRunning } from "./state.ts";
import { endContainer } from "./stop.ts";

export interface RemoveOptions {
  /** Kill it first if it runs. */
  force: boolean;
  /** With its anonymous volumes. */
  volumes: boolean;
}

/**
 * Removes a container: first its record, for good, then what it had on the disk; what a crash leaves of that is swept at the
 * next start. Throws CONTAINER_RUNNING, CONFLICT, NO_SUCH_CONTAINER.
 */
export async function remove(
  parts: Parts,
  container: Container,
  options: RemoveOptions,
  reference = container.record.name,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (options.force) await endContainer(parts, container, SIGKILL);
    if (!isRunning(container.record)) await drainShipping(container);
    // Somebody may start it between its end and this: force takes that run too.
    const startedAgain = await container.mutex.run(async () => {
      if (options.force && attempt < forcedAttempts && isRunning(container.record)) return true;
      await checkRemovable(parts, container, options, reference);
      await erase(parts, container, options.volumes);
      return false;
    });
    if (!startedAgain) return;
  }
}

const forcedAttempts = 8;

/** Throws what Docker says of one that can't be removed as it is. */
async function checkRemovable(
  parts: Parts,
  container: Container,
  { force }: RemoveOptions,
  reference: string,
): Promise<void> {
  const { record } = container;
  if (container.removed) throw noSuchContainer(reference);
  refuseMoving(record);
  if (record.state.status === "restarting") {
    if (!force) throw refusal(reference, "container is restarting: stop the container before removing or force remove");
    await cancelRestart(parts, container);
  }
  if (record.state.status === "paused") throw refusal(reference, "container is paused and must be unpaused first");
  if (isRunning(record))
    throw refusal(reference, "container is running: stop the container before removing or force remove");
}

const refusal = (name: string, why: string) => conflict(`cannot remove container "${name}": ${why}`);

async function erase(parts: Parts, container: Container, volumes: boolean): Promise<void> {
  const { record } = container;
  const { id, name } = record;
  record.removing = true;
  await closeListener(parts, container);
  try {
    await parts.records.commit({
      del: id,
      delExecs: [...container.execs],
      releaseName: { name, containerId: id },
      events: [containerEvent(parts.nodeId, record, "destroy")],
    });
  } catch (error) {
    // It is as it was: to be started, or removed once the disk takes a record again.
    record.removing = false;
    throw error;
  }
  parts.registry.delete(container);
  parts.fault("remove.recorded");
  // Before anyone is told: who then removes a volume must not find it in use.
  await releaseMounts(parts, record, volumes);
  container.hasBeenRemoved();
  parts.registry.discarding(discard(parts, record));
}

/** Uses of volumes end with the record; anonymous ones go too when asked for, and what can't be removed is logged. */
async function releaseMounts(parts: Parts, record: Container["record"], volumes: boolean): Promise<void> {
  if (record.mounts.length === 0) return;
  await releasePoints(parts, record.id, record.mounts, volumes).catch((error: unknown) => {
    parts.log.warn({ container: record.id, err: errorMessage(error) }, "a removed container's volumes stay");
  });
}

/** Data of a container whose record has gone; nobody waits for it. Never throws: the sweep at the next start takes what is left. */
async function discard(parts: Parts, record: Container["record"]): Promise<void> {
  const { id } = record;
  const results = await Promise.allSettled([parts.snapshots.remove(id), removeDirectory(parts, id)]);
  for (const result of results) {
    if (result.status === "rejected")
      parts.log.warn(
        { container: id, err: errorMessage(result.reason) },
        "left behind by a removed container, will be swept",
      );
  }
}

/** Most have a log, an exit record, the files of /etc and nothing else: a call for each instead of a walk. */
async function removeDirectory(parts: Parts, id: string): Promise<void> {
  const directory = parts.paths.container(id);
  const { hosts, hostname, resolvConf } = ownEtcFiles(parts.paths, id);
  const files = [parts.paths.log(id), parts.paths.exitFile(id), hosts, hostname, resolvConf];
  await Promise.all(files.map((path) => unlink(path).catch(() => undefined)));
  await rmdir(directory).catch(() => rm(directory, { recursive: true, force: true }));
}
