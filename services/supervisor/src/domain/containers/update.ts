import { BerthError } from "@berth/errors";
import type { Resources, RestartPolicy } from "../model.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import { refuseMoving } from "../moves/guard.ts";
import { resourcesOf } from "../spec/resources.ts";
import { checkResources } from "../validate/resources.ts";
import { checkRestartPolicy } from "../validate/restart.ts";
import type { Container } from "./container.ts";
import { containerEvent } from "./events.ts";
import { cancelRestart } from "./exit.ts";
import type { Parts } from "./parts.ts";
import { isRunning } from "./state.ts";

/** What may change while a container runs. */
const changeable = [
  "cpuShares",
  "nanoCpus",
  "cpuPeriod",
  "cpuQuota",
  "cpusetCpus",
  "cpusetMems",
  "memory",
  "memoryReservation",
  "memorySwap",
  "blkioWeight",
] as const satisfies readonly (keyof Resources)[];

/** `docker update`: what is zero stays. Returns warnings. Throws INVALID_ARGUMENT, CONFLICT. */
export function update(
  parts: Parts,
  container: Container,
  resources: Resources,
  policy: RestartPolicy | undefined,
): Promise<string[]> {
  return container.mutex.run(async () => {
    const { record } = container;
    const { hostConfig: host } = record.spec;
    const refuse = (why: string) => new BerthError("CONFLICT", `Cannot update container ${record.id}: ${why}`);
    if (policy !== undefined && policy.name !== "") {
      checkRestartPolicy(policy);
      if (host.autoRemove && policy.name !== "no")
        throw refuse("Restart policy cannot be updated because AutoRemove is enabled for the container");
    }
    const warnings = checkResources(resources, parts.facts, true);
    if (container.removed || record.removing) throw refuse("container is marked for removal and cannot be updated");
    refuseMoving(record);
    const next = merged(host.resources, resources, refuse);
    if (isRunning(record)) {
      const oci = await resourcesOf(next, undefined);
      await container.monitor.request({ op: "update", resources: oci }).catch((error: Error) => {
        // It has ended just now: the limits are the next run's.
        if (error instanceof MonitorGone || (error instanceof MonitorError && error.failure.code === "ESRCH")) return;
        throw new BerthError(
          "INTERNAL",
          `Cannot update container ${record.id}: ${error.message}`,
          {},
          { cause: error },
        );
      });
    }
    host.resources = next;
    if (policy !== undefined && policy.name !== "") host.restartPolicy = policy;
    if (record.state.status === "restarting" && host.restartPolicy.name === "no") await cancelRestart(parts, container);
    await parts.records.commit({ put: record, events: [containerEvent(parts.nodeId, record, "update")] });
    return warnings;
  });
}

function merged(current: Resources, change: Resources, refuse: (why: string) => BerthError): Resources {
  if (change.nanoCpus > 0 && (current.cpuPeriod > 0 || current.cpuQuota > 0)) {
    const set = current.cpuPeriod > 0 ? "CPU Period" : "CPU Quota";
    throw refuse(`Conflicting options: Nano CPUs cannot be updated as ${set} has already been set`);
  }
  if (current.nanoCpus > 0 && change.cpuPeriod > 0)
    throw refuse("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
  if (current.nanoCpus > 0 && change.cpuQuota > 0)
    throw refuse("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
  const next = { ...current };
  for (const key of changeable) {
    if (change[key] !== 0 && change[key] !== "") Object.assign(next, { [key]: change[key] });
  }
  if (change.pidsLimit !== undefined) next.pidsLimit = change.pidsLimit;
  // Without a limit on swap so far, -1 or a limit must come along: the kernel wants memory ≤ memory+swap.
  if (
    change.memory > 0 &&
    change.memorySwap === 0 &&
    (current.memorySwap === 0 ? current.memory === 0 : change.memory > current.memorySwap) &&
    current.memorySwap !== -1
  ) {
    throw refuse(
      "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
    );
  }
  return next;
}
