import type { Socket } from "node:net";
import { conflict, notRunning } from "../errors.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import type { MonitorRequest } from "../monitor/protocol.ts";
import { refuseMoving } from "../moves/guard.ts";
import type { Container } from "./container.ts";
import { containerEvent } from "./events.ts";
import type { Parts } from "./parts.ts";
import { ensureListener } from "./start.ts";
import { isRunning } from "./state.ts";

export interface AttachOptions {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

/** Makes sure that there is a socket to attach at, whether the container runs or is yet to start. `reference`: what the caller named it by. Throws CONFLICT. */
export async function prepareAttach(
  parts: Parts,
  container: Container,
  options: AttachOptions & { replay: boolean },
  reference = container.record.name,
): Promise<MonitorRequest> {
  await container.mutex.run(async () => {
    const { record } = container;
    if (container.removed || record.removing)
      throw conflict(`You cannot attach to a container which is being removed: ${record.id}`);
    if (record.state.status === "paused")
      throw conflict(`container ${reference} is paused, unpause the container before attach`);
    if (record.state.status === "restarting")
      throw conflict(`container ${reference} is restarting, wait until the container is running`);
    refuseMoving(record);
    if (!isRunning(record)) await ensureListener(parts, container);
  });
  parts.records.commitSoon({ events: [containerEvent(parts.nodeId, container.record, "attach")] });
  return { op: "attach", ...options };
}

/**
 * The container's streams; before its start this waits for it. Throws CONTAINER_NOT_RUNNING when it never came, and the
 * signal's reason.
 */
export async function attachStream(
  container: Container,
  request: MonitorRequest,
  signal: AbortSignal,
): Promise<{ answer: { log?: { file: string; offset: number } }; socket: Socket; head: Buffer }> {
  try {
    return await container.monitor.stream(request, signal);
  } catch (error) {
    if (error instanceof MonitorGone || error instanceof MonitorError) throw notRunning(container.id);
    throw error;
  }
}

/** `docker resize` of a container or of an exec in it. Throws CONTAINER_NOT_RUNNING. */
export async function resize(
  parts: Parts,
  container: Container,
  rows: number,
  cols: number,
  exec?: string,
): Promise<void> {
  if (!isRunning(container.record)) throw notRunning(container.id);
  try {
    // The kernel's sizes have sixteen bits; Docker passes on what is left of longer ones.
    await container.monitor.request({
      op: "resize",
      rows: rows & 0xffff,
      cols: cols & 0xffff,
      ...(exec !== undefined && { exec }),
    });
  } catch (error) {
    if (error instanceof MonitorGone) throw notRunning(container.id);
    // Without a terminal there is nothing to size, and an exec may have ended just now: Docker says yes to both.
    if (!(error instanceof MonitorError)) throw error;
    return;
  }
  if (exec !== undefined) return;
  const attributes = { height: String(rows), width: String(cols) };
  parts.records.commitSoon({ events: [containerEvent(parts.nodeId, container.record, "resize", attributes)] });
}
