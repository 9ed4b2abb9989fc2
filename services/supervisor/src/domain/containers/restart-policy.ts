import type { RestartPolicy } from "../model.ts";

const firstDelayMs = 100;
const maxDelayMs = 60_000;
/** A run this long counts as a success: the next delay is the first one again. */
const steadyMs = 10_000;

export interface RestartQuestion {
  policy: RestartPolicy;
  exitCode: number;
  /** By stop, kill or rm. */
  manuallyStopped: boolean;
  restartCount: number;
  ranForMs: number;
  /** The delay before this run; 0 when a user started it. */
  previousDelayMs: number;
  /** Ended for being unhealthy: to be run again whatever the policy. */
  replacing: boolean;
}

/** Docker's rules: the delay in ms before the next run, or undefined for none. */
export function restartDelay(q: RestartQuestion): number | undefined {
  if (q.manuallyStopped || !wanted(q)) return undefined;
  if (q.previousDelayMs === 0 || q.ranForMs > steadyMs) return firstDelayMs;
  return Math.min(q.previousDelayMs * 2, maxDelayMs);
}

function wanted({ policy, exitCode, restartCount, replacing }: RestartQuestion): boolean {
  if (replacing) return true;
  switch (policy.name) {
    case "always":
    case "unless-stopped":
      return true;
    case "on-failure":
      return exitCode !== 0 && (policy.maximumRetryCount === 0 || restartCount < policy.maximumRetryCount);
    default:
      return false;
  }
}

/** After a boot of the host: should a container that ran, or was stopped, before it run again? */
export function startsAtBoot(policy: RestartPolicy, manuallyStopped: boolean, ranWhenHostWentDown: boolean): boolean {
  if (policy.name === "always") return true;
  if (policy.name === "unless-stopped") return !manuallyStopped;
  return policy.name === "on-failure" && ranWhenHostWentDown;
}
