import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";

/** The monitor has started an exec (it may have been asked by a client directly). */
export async function execStarted(parts: Parts, _container: Container, id: string, pid: number): Promise<void> {
  const exec = parts.registry.execs.get(id);
  if (!exec) return;
  Object.assign(exec, { started: true, running: true, pid });
  await parts.records.commitLazily({ putExec: exec });
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
  const attributes = { execID: id, exitCode: String(exitCode) };
  await parts.records.commitLazily({
    putExec: exec,
    events: failed ? [] : [containerEvent(parts.nodeId, container.record, "exec_die", attributes)],
  });
}
