import { setTimeout as sleep } from "node:timers/promises";
import type { NodeDirectory, NodeFacts } from "@berth/bus";
import { errorMessage, isBerthError } from "@berth/errors";
import type { Logger } from "@berth/log";

/** ms between attempts; a name that another node has may become free. */
const retryMs = 30_000;
const soonMs = 1_000;

/** Enters this node into the directory of nodes, which no start waits for: containers run without it. Ends when the signal aborts. */
export async function registerNode(
  directory: NodeDirectory,
  facts: () => Promise<NodeFacts>,
  labels: Record<string, string>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let pause = soonMs;
    try {
      await directory.register(await facts(), labels);
      return;
    } catch (error) {
      const isTaken = isBerthError(error) && error.reason === "NAME_IN_USE";
      if (isTaken) {
        pause = retryMs;
        log.error({ reason: error.reason }, `this node gets no new containers: ${errorMessage(error)}`);
      } else log.debug({ err: errorMessage(error) }, "the node is not registered yet");
    }
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
  }
}
