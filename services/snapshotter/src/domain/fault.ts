/**
 * Called between every two writes that must hold in this order. Does nothing, unless a test wants the process to die
 * right there (config key BERTH_SNAPSHOTTER_FAULT_POINT).
 */
export type Fault = (point: FaultPoint) => void;

export const faultPoints = [
  "prepare-made",
  "prepare-recorded",
  "commit-synced",
  "commit-recorded",
  "remove-recorded",
  "remove-aside",
  "unpack-made",
  "unpack-extracted",
  "unpack-inherited",
  "unpack-recorded",
  "unpack-synced",
  "sweep-recorded",
] as const;
export type FaultPoint = (typeof faultPoints)[number];

/** Dies the way a power cut would look to this process: at once, nothing flushed, no handler run. */
export function dieAt(wanted: string | undefined): Fault {
  if (wanted === undefined || wanted === "") return () => {};
  return (point) => {
    if (point === wanted) process.kill(process.pid, "SIGKILL");
  };
}
