import type { Container, WaitCondition, WaitResult } from "./container.ts";
import { isActive } from "./state.ts";

/** `docker wait`: at once when "not-running" holds already. Rejects with the signal's reason. */
export function waitFor(container: Container, condition: WaitCondition, signal?: AbortSignal): Promise<WaitResult> {
  const { state } = container.record;
  const over = (condition === "not-running" && !isActive(container.record)) || container.removed;
  if (over) return Promise.resolve({ exitCode: state.exitCode, error: state.error });
  return container.wait(condition, signal);
}
