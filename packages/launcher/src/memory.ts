import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Collects all garbage and gives its pages back, within a tenth of a second. V8 collects when a program allocates, so one
 * that has done its work keeps what the work took: for the launcher, a third of its memory.
 */
export function releaseMemory(): void {
  // gc() is there only in contexts made while this flag is set.
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: object) => void;
  setFlagsFromString("--no-expose-gc");
  collect({ type: "major", flavor: "last-resort" });
}
