import { BerthError } from "@berth/errors";
import { conflict, notRunning } from "../errors.ts";
import { endHealth, resumeHealth } from "../health/watch.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import { refuseMoving } from "../moves/guard.ts";
import type { Container } from "./container.ts";
import { containerEvent } from "./events.ts";
import type { Parts } from "./parts.ts";
import { isRunning, transit } from "./state.ts";

/** `docker pause`. Throws CONTAINER_NOT_RUNNING, CONFLICT. */
export const pause = (parts: Parts, container: Container): Promise<void> => pauseIt(parts, container, false);

/** For as long as its files are read: recorded before, so that a crash does not leave it frozen. Throws as pause(). */
export const pauseForCommit = (parts: Parts, container: Container): Promise<void> => pauseIt(parts, container, true);

/** Ends pauseForCommit(), unless somebody has let it go, or paused it himself, meanwhile. */
export async function endCommitPause(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  if (!record.pausedForCommit || record.state.status !== "paused") return;
  await unpause(parts, container).catch((error: unknown) => {
    if (record.state.status !== "paused") return;
    parts.log.error({ container: container.id, err: error }, "a container that was committed stays paused");
  });
}

function pauseIt(parts: Parts, container: Container, forCommit: boolean): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    const { status } = record.state;
    if (status === "restarting")
      throw conflict(`Container ${record.id} is restarting, wait until the container is running`);
    if (status === "paused") throw new BerthError("CONTAINER_PAUSED", `Container ${record.id} is already paused`);
    if (!isRunning(record)) throw notRunning(record.id);
    refuseMoving(record);
    record.pausedForCommit = forCommit;
    if (forCommit) await parts.records.commitLazily({ put: record });
    await freeze(container, "pause");
    transit(record, "paused");
    endHealth(container);
    await parts.records.commitLazily({ put: record, events: [containerEvent(parts.nodeId, record, "pause")] });
  });
}

export function unpause(parts: Parts, container: Container): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    // With Docker's status, 500.
    if (record.state.status !== "paused") throw new BerthError("INTERNAL", `Container ${record.id} is not paused`);
    await freeze(container, "resume");
    record.pausedForCommit = false;
    transit(record, "running");
    resumeHealth(parts, container);
    await parts.records.commitLazily({ put: record, events: [containerEvent(parts.nodeId, record, "unpause")] });
  });
}

async function freeze(container: Container, op: "pause" | "resume"): Promise<void> {
  try {
    await container.monitor.request({ op });
  } catch (error) {
    // It may have ended in this very moment.
    const ended = error instanceof MonitorGone || (error instanceof MonitorError && error.failure.code === "ESRCH");
    throw ended ? notRunning(container.id) : error;
  }
}
