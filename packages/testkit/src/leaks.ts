// What an engine must give back: looked at before and after.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Standing {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
}

/** Everything on this host that carries `mark` (a directory or an id of the test's own) in its name. */
export async function standing(mark: string): Promise<Standing> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(mark));
  return { mounts, cgroups: await cgroupsNamed("berth"), processes: await processesWith(mark) };
}

async function cgroupsNamed(name: string): Promise<string[]> {
  const found: string[] = [];
  const roots = [
    "/sys/fs/cgroup",
    ...(await readdir("/sys/fs/cgroup").catch(() => [])).map((dir) => join("/sys/fs/cgroup", dir)),
  ];
  for (const root of roots) {
    const groups = await readdir(join(root, name), { withFileTypes: true }).catch(() => []);
    for (const group of groups) if (group.isDirectory()) found.push(join(root, name, group.name));
  }
  return found;
}

async function processesWith(mark: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes(mark)) found.push(`${pid} ${command.replaceAll("\0", " ").slice(0, 200)}`);
  }
  return found;
}
