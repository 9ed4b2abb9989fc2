import { renameSync, writeFileSync } from "node:fs";
import type { Bus } from "@berth/bus";
import { errorMessage } from "@berth/errors";
import { readPlan } from "@berth/identity/plan";
import type { Logger } from "@berth/log";

/** Keeps in a file, for the launcher of this host and its next start, which hosts run NATS by the newest word of the authority. */
export function followNatsPlan(bus: Pick<Bus, "instances" | "onInstances">, path: string, log: Logger): void {
  let known = readPlan(path)?.version ?? 0;
  bus.onInstances(() => {
    for (const { nats } of bus.instances("authority")) {
      if (nats === undefined || nats.version <= known) continue;
      try {
        // The launcher may have heard it from the authority itself.
        if ((readPlan(path)?.version ?? 0) < nats.version) {
          writeFileSync(`${path}.heard`, JSON.stringify(nats), { mode: 0o600, flush: true });
          renameSync(`${path}.heard`, path);
        }
        known = nats.version;
      } catch (error) {
        log.error({ err: errorMessage(error) }, "which hosts run NATS can't be kept");
      }
    }
  });
}
