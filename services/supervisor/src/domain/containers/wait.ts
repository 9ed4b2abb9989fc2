import type { Container, WaitCondition, WaitResult } from "./container.ts";
import { isActive } from "./state.ts";

/**
 * `docker wait`: at once when "not-running" holds already, or when an exit came after `lastExit`, the one that a wait knew which was
 * cut off. Rejects with the signal's reason.
 */
export function waitFor(
  container: Container,
  condition: WaitCondition,
  lastExit: string | undefined,
  signal?: AbortSignal,
): Promise<WaitResult> {
  const { state } = container.record;
  const ended = condition === "not-running" && !isActive(container.record);
  const missed = condition !== "removed" && lastExit !== undefined && lastExit !== state.finishedAt;
  if (ended || missed || container.removed) return Promise.resolve({ exitCode: state.exitCode, error: state.error });
  return container.wait(condition, signal);
}
