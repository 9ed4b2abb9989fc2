import { errorMessage } from "@berth/errors";
import type { ContainerRecord } from "../model.ts";
import { parseSignal, SIGKILL, SIGTERM } from "../validate/signals.ts";
import { within } from "../within.ts";
import type { Container } from "./container.ts";
import type { Parts } from "./parts.ts";
import { isRunning } from "./state.ts";
import { defaultStopTimeout, killTimeoutMs, signalContainer, withEnd } from "./stop.ts";

/** A label, or an annotation of the HostConfig: asks for a restart of a container that its health check finds unhealthy. */
const key = "berth.restart-unhealthy";

export function wantsRestart({ spec }: ContainerRecord): boolean {
  return spec.config.labels[key] === "true" || spec.hostConfig.annotations[key] === "true";
}

/**
 * Ends an unhealthy container as `docker stop` would; its exit is then followed by a start with the back-off of a restart
 * policy. A user's stop or removal meanwhile wins. Never throws.
 */
export async function restartUnhealthy(parts: Parts, container: Container): Promise<void> {
  const { config } = container.record.spec;
  const send = (signal: number) =>
    container.mutex.run(async () => {
      if (!isRunning(container.record)) return;
      container.replacing = true;
      await signalContainer(parts, container, signal, false);
    });
  try {
    parts.log.info({ container: container.id }, "restarting an unhealthy container");
    await withEnd(container, "next-exit", async (ended) => {
      await send(config.stopSignal === "" ? SIGTERM : parseSignal(config.stopSignal));
      const seconds = config.stopTimeout ?? defaultStopTimeout;
      if (await within(ended, seconds < 0 ? Number.POSITIVE_INFINITY : seconds * 1000)) return;
      await send(SIGKILL);
      await within(ended, killTimeoutMs);
    });
  } catch (error) {
    parts.log.warn({ container: container.id, err: errorMessage(error) }, "cannot restart an unhealthy container");
  } finally {
    container.replacing = false;
  }
}
