import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { MonitorGone } from "../monitor/client.ts";
import type { MonitorStats } from "../monitor/protocol.ts";
import type { InterfaceCounters } from "../network/driver.ts";
import { nowNano } from "../time.ts";

export interface Sample {
  /** ns since the epoch; 0: the container does not run. */
  read: bigint;
  counters: MonitorStats | undefined;
  /** ns of CPU time of the whole host */
  systemCpu: number;
  onlineCpus: number;
  interfaces: readonly InterfaceCounters[];
}

const intervalMs = 1000;

/** One sample, or one a second until the caller leaves or the container is removed. One that does not run gives empty samples. */
export async function* sampleStats(
  parts: Parts,
  container: Container,
  follow: boolean,
  signal: AbortSignal,
): AsyncGenerator<Sample> {
  for (;;) {
    yield await sample(parts, container);
    if (!follow || container.removed) return;
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted || container.removed) return;
  }
}

/** One sample, which is empty when the container does not run. */
export async function sample(parts: Parts, container: Container): Promise<Sample> {
  const { record } = container;
  const empty: Sample = { read: 0n, counters: undefined, systemCpu: 0, onlineCpus: 0, interfaces: [] };
  if (!isRunning(record)) return empty;
  try {
    const [counters, interfaces] = await Promise.all([
      container.monitor.request<MonitorStats>({ op: "stats" }),
      readInterfaces(parts, record.state.pid, record.spec.hostConfig.networkMode),
    ]);
    return { read: nowNano(), counters, systemCpu: readSystemCpu(), onlineCpus: parts.facts.cpus, interfaces };
  } catch (error) {
    if (error instanceof MonitorGone) return empty;
    throw error;
  }
}

/** A host's container would tell the host's interfaces, which Docker does not. */
async function readInterfaces(parts: Parts, pid: number, mode: string): Promise<readonly InterfaceCounters[]> {
  if (mode === "host" || mode === "none") return [];
  let namespace: number;
  try {
    namespace = openSync(`/proc/${pid}/ns/net`, "r");
  } catch {
    return [];
  }
  try {
    return await parts.networks.interfaceStats(namespace);
  } finally {
    closeSync(namespace);
  }
}

/** USER_HZ, the unit of /proc/stat: 100 on every Linux that Node runs on. */
const nanosecondsPerTick = 10_000_000;

/** From memory, in a tenth of the time that a thread's answer takes. */
function readSystemCpu(): number {
  const text = readFileSync("/proc/stat", "utf8");
  const fields = text.slice(0, text.indexOf("\n")).trim().split(/\s+/).slice(1, 8);
  return fields.reduce((sum, field) => sum + Number(field), 0) * nanosecondsPerTick;
}
