// What an engine holds when all containers are gone: it must not grow with the work it has done.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningEngine } from "@berth/launcher";
import { openStore } from "@berth/store";

const services = ["gateway", "supervisor", "image-store", "snapshotter", "registry-proxy", "nats"] as const;

export interface Holding {
  /** Open file descriptors of each service. */
  readonly fds: Readonly<Record<string, number>>;
  /** PSS of each service, bytes */
  readonly memory: Readonly<Record<string, number>>;
}

/** bytes of all services together */
export const totalOf = ({ memory }: Holding): number => Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);

export async function holding(engine: RunningEngine): Promise<Holding> {
  const fds: Record<string, number> = {};
  const memory: Record<string, number> = {};
  for (const service of services) {
    const pid = engine.pidOf(service);
    fds[service] = (await readdir(`/proc/${pid}/fd`)).length;
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
    memory[service] = Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024;
  }
  return { fds, memory };
}

/** What grew beyond what caches and timing explain; empty when nothing did. */
export function growth(before: Holding, after: Holding): string[] {
  const found = services
    .filter((service) => (after.fds[service] ?? 0) > (before.fds[service] ?? 0) + fdSlack)
    .map((service) => `${service} has ${after.fds[service]} open files, before it had ${before.fds[service]}`);
  if (totalOf(after) > totalOf(before) * memoryFactor)
    found.push(...services.map((service) => `${service}: ${before.memory[service]} -> ${after.memory[service]} bytes`));
  return found;
}

/** Connections between services come and go with restarts. */
const fdSlack = 16;
/** Compiled code and warm caches; a leak in an hour of work is far more. */
const memoryFactor = 1.6;

/** What a stopped engine's directories and databases still have of containers. The engine must not run. */
export async function leftOnDisk(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const dir of ["supervisor/containers", "supervisor/volumes", "snapshotter/containers"]) {
    for (const entry of await readdir(join(root, dir)).catch(() => [])) found.push(join(dir, entry));
  }
  const store = await openStore(join(root, "supervisor/db"));
  try {
    for (const table of ["containers", "execs", "outbox"]) {
      for await (const key of store.table(table).keys()) found.push(`record ${table}/${key}`);
    }
  } finally {
    await store.close();
  }
  return found;
}
