// Services die at random while clients work.
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningEngine } from "@berth/launcher";
import type { Random } from "./random.ts";

const victims = ["gateway", "supervisor", "image-store", "snapshotter", "registry-proxy", "nats"] as const;

/** Kills one service after another, each when the one before is healthy again, until aborted. Counts each in `killed`. */
export async function killServices(
  engine: RunningEngine,
  random: Random,
  signal: AbortSignal,
  killed: Map<string, number>,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(random.between(1_000, 6_000), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
    const victim = random.pick(victims);
    killed.set(victim, (killed.get(victim) ?? 0) + 1);
    engine.kill(victim);
    // The launcher has to see the death before health means anything.
    await sleep(50);
    await engine.healthy(victim, 30_000);
  }
}
