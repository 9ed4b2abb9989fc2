import type { FaultPoint } from "./containers/parts.ts";

/** Kills this process, as a crash would, when it comes to the point named (BERTH_SUPERVISOR_FAULT, tests only). */
export const makeFaultPoint = (wanted: string): FaultPoint =>
  wanted === ""
    ? () => {}
    : (name) => {
        if (name === wanted) process.kill(process.pid, "SIGKILL");
      };
