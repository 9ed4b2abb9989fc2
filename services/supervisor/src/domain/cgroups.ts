import { readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const mountPoint = "/sys/fs/cgroup";
const attempts = 40;
const pauseMs = 50;

/** Where a group may be: the root of v2, and each hierarchy of v1. */
async function cgroupRoots(): Promise<string[]> {
  const names = await readdir(mountPoint, { withFileTypes: true }).catch(() => []);
  return [mountPoint, ...names.filter((entry) => entry.isDirectory()).map(({ name }) => join(mountPoint, name))];
}

/**
 * Ends every process of a container whose monitor is gone, and removes its groups: what the monitor would have done. Bounded
 * to two seconds (the kernel reaps meanwhile); what is left then is swept at the next start.
 */
export async function endGroup(path: string): Promise<void> {
  let left = (await cgroupRoots()).map((root) => join(root, path));
  for (let attempt = 0; attempt < attempts; attempt++) {
    const gone = await Promise.all(left.map(endOne));
    left = left.filter((_, index) => !gone[index]);
    if (left.length === 0) return;
    await sleep(pauseMs);
  }
}

/** True when the group is not there (any more). */
async function endOne(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return true;
  // A frozen process does not even die.
  await writeFile(join(path, "freezer.state"), "THAWED").catch(() => undefined);
  await writeFile(join(path, "cgroup.freeze"), "0").catch(() => undefined);
  for (const entry of entries) {
    if (entry.isDirectory()) await endOne(join(path, entry.name));
  }
  const processes = await readFile(join(path, "cgroup.procs"), "utf8").catch(() => "");
  for (const line of processes.split("\n")) {
    // 0: of a process namespace that we can't see into.
    if (Number(line) > 0) kill(Number(line));
  }
  return rmdir(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

/** Removes the groups of these ids below /berth. rmdir takes only what is empty: what runs stays in any case. */
export async function sweepGroups(ids: readonly string[]): Promise<void> {
  for (const root of await cgroupRoots()) {
    const present = new Set(await readdir(join(root, "berth")).catch(() => []));
    for (const id of ids) {
      if (present.has(id)) await rmdir(join(root, "berth", id)).catch(() => undefined);
    }
  }
}

/** The empty parent group, when no container is left on this host. */
export async function removeParentGroup(): Promise<void> {
  for (const root of await cgroupRoots()) await rmdir(join(root, "berth")).catch(() => undefined);
}
