import type { Load } from "@berth/bus";
import type { Registry } from "./containers/registry.ts";
import type { Resources } from "./model.ts";

/** For who places new containers: told at each beat, and soon after a container came where there is a choice of nodes (`isAlone`: there is none). */
export function loadSource(registry: Registry, isAlone: () => boolean) {
  return {
    read: () => ({ load: loadOf(registry) }),
    onChange: (listener: () => void) => {
      registry.added = () => {
        if (!isAlone()) listener();
      };
    },
  };
}

/** What the containers that have not ended reserve of this node: their limits, where they have some. */
function loadOf(registry: Registry): Load {
  const load = { containers: 0, cpus: 0, memory: 0 };
  for (const { record } of registry.all()) {
    if (record.state.status === "exited" || record.state.status === "dead") continue;
    const { cpus, memory } = reservedBy(record.spec.hostConfig.resources);
    load.containers++;
    load.cpus += cpus;
    load.memory += memory;
  }
  return load;
}

function reservedBy({ nanoCpus, cpuQuota, cpuPeriod, memory, memoryReservation }: Resources) {
  const byQuota = cpuQuota > 0 ? cpuQuota / (cpuPeriod || defaultPeriod) : 0;
  return { cpus: nanoCpus > 0 ? nanoCpus / 1e9 : byQuota, memory: memoryReservation || memory };
}

/** µs; the kernel's. */
const defaultPeriod = 100_000;
