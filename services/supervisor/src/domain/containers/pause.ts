import { BerthError } from "@berth/errors";
import { conflict, notRunning } from "../errors.ts";
import { endHealth, resumeHealth } from "../health/watch.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import type { Container } from "./container.ts";
import { containerEvent } from "./events.ts";
import type { Parts } from "./parts.ts";
import { isRunning, transit } from "./state.ts";

/** `docker pause`. Throws CONTAINER_NOT_RUNNING, CONFLICT. */
export function pause(parts: Parts, container: Container): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    const { status } = record.state;
    if (status === "restarting")
      throw conflict(`Container ${record.id} is restarting, wait until the container is running`);
    if (status === "paused") throw new BerthError("CONTAINER_PAUSED", `Container ${record.id} is already paused`);
    if (!isRunning(record)) throw notRunning(record.id);
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
