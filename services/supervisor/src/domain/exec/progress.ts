import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import type { ExecRecord } from "../model.ts";
import { MonitorGone } from "../monitor/client.ts";
import type { MonitorState } from "../monitor/protocol.ts";

/**
 * The monitor has started an exec (it may have been asked by a client directly). In memory alone: who recovers asks the
 * monitor what runs, and that it was begun is recorded already.
 */
export function execStarted(parts: Parts, id: string, pid: number): void {
  const exec = parts.registry.execs.get(id);
  if (exec === undefined || exec.exitCode !== null) return;
  Object.assign(exec, { started: true, running: true, pid });
}

/** An exec has ended; `failed`: it never ran, and then there is no event of its death. */
export async function execExited(
  parts: Parts,
  container: Container,
  id: string,
  exitCode: number,
  failed = false,
): Promise<void> {
  const exec = parts.registry.execs.get(id);
  if (!exec || exec.exitCode !== null) return;
  Object.assign(exec, { started: true, running: false, exitCode });
  container.openExecs.delete(id);
  const attributes = { execID: id, exitCode: String(exitCode) };
  const events = failed ? [] : [containerEvent(parts.nodeId, container.record, "exec_die", attributes)];
  try {
    await parts.records.commitLazily({ putExec: exec, events });
  } finally {
    container.execEnded(id);
  }
}

/** From now on there are no such execs. */
export function forgetExecs(parts: Parts, container: Container, ids: readonly string[]): void {
  for (const id of ids) {
    container.execs.delete(id);
    container.openExecs.delete(id);
    parts.registry.execs.delete(id);
  }
  parts.records.commitSoon({ delExecs: [...ids] });
}

/**
 * Brings an exec that has begun up to what its monitor knows. A client on this host reads the stream from the monitor
 * itself: it may see the end, and ask for the exit code, before this process has read of either.
 */
export async function catchUpExec(parts: Parts, container: Container, exec: ExecRecord): Promise<void> {
  if (!exec.started || exec.exitCode !== null) return;
  const state = await container.monitor.request<MonitorState>({ op: "state" }).catch((error: unknown) => {
    // Its end is on its way by the container's exit.
    if (error instanceof MonitorGone) return undefined;
    throw error;
  });
  const end = state?.exits?.find(({ id }) => id === exec.id);
  if (end !== undefined) return execExited(parts, container, exec.id, end.exitCode, end.failed);
  const live = state?.execs.find(({ id }) => id === exec.id);
  if (live !== undefined && !exec.running) execStarted(parts, exec.id, live.pid);
}
