// What an engine must give back: looked at before and after.
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";

export interface Standing {
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
}

/**
 * Everything on this host that carries `mark` (a directory or an id of the test's own) in its name, and the control groups of
 * containers but those that other engines run.
 */
export async function standing(mark: string): Promise<Standing> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(mark));
  const groups = await cgroupsNamed("berth");
  const commands = await commandLines();
  // A container's monitor is called with the path of its bundle, which ends in the container's id.
  const elsewhere = [...commands.values()].filter((command) => !command.includes(mark)).join("\n");
  return {
    mounts,
    cgroups: groups.filter((path) => !elsewhere.includes(`/${basename(path)}`)),
    processes: [...commands]
      .filter(([, command]) => command.includes(mark))
      .map(([pid, command]) => `${pid} ${command.replaceAll("\0", " ").slice(0, 200)}`),
  };
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

/** By pid, of every other process. */
async function commandLines(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    found.set(pid, await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
  }
  return found;
}
