import type { SupervisorDefinition } from "@berth/api/containers";
import type { Implementation } from "@berth/rpc";
import type { Engine } from "../domain/engine.ts";
import { createExec, findExec } from "../domain/exec/exec.ts";
import { catchUpExec } from "../domain/exec/progress.ts";

export function execCalls(engine: Engine): Implementation<typeof SupervisorDefinition> {
  const { parts } = engine;
  return {
    async createExec({ container, ...options }) {
      return { id: await createExec(parts, engine.findToChange(container), options, container) };
    },
    async inspectExec({ exec: id }) {
      const { exec, container } = findExec(parts, id);
      await catchUpExec(parts, container, exec);
      return {
        id,
        containerId: exec.containerId,
        running: exec.running,
        ...(exec.exitCode !== null && { exitCode: exec.exitCode }),
        pid: exec.pid,
        tty: exec.tty,
        openStdin: exec.attachStdin,
        openStdout: exec.attachStdout,
        openStderr: exec.attachStderr,
        canRemove: false,
        detachKeys: exec.detachKeys,
        cmd: exec.cmd,
        user: exec.user,
        privileged: exec.privileged,
      };
    },
  };
}
