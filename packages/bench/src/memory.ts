// Memory of an engine: the proportional share (PSS) of all its processes, so that shared pages count once.
import { readdir, readFile } from "node:fs/promises";

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

async function processes(): Promise<ProcessRow[]> {
  const rows: ProcessRow[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => undefined);
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (stat === undefined) continue;
    // The command in parentheses may hold anything: the parent's pid is the second word after the last one.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    rows.push({ pid: Number(name), parent, command: command.replaceAll("\0", " ") });
  }
  return rows;
}

/** Pids of `root` and all below it, and of every process whose command line holds `mark`. */
export async function engineProcesses(root: number | undefined, mark: string): Promise<number[]> {
  const rows = await processes();
  const found = new Set(rows.filter((row) => row.command.includes(mark)).map((row) => row.pid));
  if (root !== undefined) found.add(root);
  let grown = true;
  while (grown) {
    grown = false;
    for (const row of rows) {
      // A container's own processes are the user's memory, not the engine's.
      if (!found.has(row.pid) && root !== undefined && found.has(row.parent) && !isEngineLeaf(rows, row.parent)) {
        found.add(row.pid);
        grown = true;
      }
    }
  }
  found.delete(process.pid);
  return [...found];
}

/** Monitors and shims: what hangs below them belongs to a container. */
function isEngineLeaf(rows: readonly ProcessRow[], pid: number): boolean {
  const command = rows.find((row) => row.pid === pid)?.command ?? "";
  return command.includes("berth-runtime") || command.includes("berth-monitor") || command.includes("containerd-shim");
}

/** Sum of PSS in bytes; a process that has gone counts nothing. */
export async function pss(pids: readonly number[]): Promise<number> {
  let total = 0;
  for (const pid of pids) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
    total += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
  }
  return total;
}
