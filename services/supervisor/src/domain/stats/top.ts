import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { conflict, notRunning } from "../errors.ts";
import { cgroupPath } from "../spec/bundle.ts";
import { runPs } from "./ps.ts";

export interface ProcessTable {
  titles: string[];
  rows: string[][];
}

interface Process {
  pid: number;
  ppid: number;
  uid: number;
  tty: number;
  /** clock ticks */
  cpu: number;
  startTicks: number;
  command: string;
  name: string;
}

const ticksPerSecond = 100;

type Column = (process: Process, context: Context) => string;
interface Context {
  users: ReadonlyMap<number, string>;
  /** seconds since the epoch */
  bootTime: number;
  now: number;
}

/** ps's columns that are understood, by the names of `-o` and of the `-f` format. */
const columns: Readonly<Record<string, { title: string; value: Column }>> = {
  uid: { title: "UID", value: ({ uid }, { users }) => users.get(uid) ?? String(uid) },
  user: { title: "USER", value: ({ uid }, { users }) => users.get(uid) ?? String(uid) },
  pid: { title: "PID", value: ({ pid }) => String(pid) },
  ppid: { title: "PPID", value: ({ ppid }) => String(ppid) },
  c: { title: "C", value: (process, context) => String(Math.min(99, Math.trunc(cpuPercent(process, context)))) },
  stime: { title: "STIME", value: startTime },
  tty: { title: "TTY", value: ({ tty }) => ttyName(tty) },
  time: { title: "TIME", value: ({ cpu }) => clock(cpu / ticksPerSecond) },
  cmd: { title: "CMD", value: ({ command }) => command },
  args: { title: "COMMAND", value: ({ command }) => command },
  command: { title: "COMMAND", value: ({ command }) => command },
  comm: { title: "COMMAND", value: ({ name }) => name },
};
const full = ["uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd"];

/**
 * `docker top` from /proc: ps's `-ef`, and `-o` with the columns above; for all else there is the host's ps.
 * Throws CONTAINER_NOT_RUNNING, CONFLICT, and what ps says as INTERNAL or INVALID_ARGUMENT.
 */
export async function top(parts: Parts, container: Container, psArgs: string): Promise<ProcessTable> {
  const { record } = container;
  if (record.state.status === "restarting")
    throw conflict(`Container ${record.id} is restarting, wait until the container is running`);
  if (!isRunning(record)) throw notRunning(record.id);
  const pids = await processesOf(cgroupPath(record));
  const chosen = columnsOf(psArgs)?.map((name) => columns[name] ?? never(name));
  if (chosen === undefined) {
    const table = await runPs(psArgs, pids);
    await parts.records.commitLazily({ events: [containerEvent(parts.nodeId, record, "top")] });
    return table;
  }
  const found = (await Promise.all(pids.map((pid) => readProcess(pid).catch(() => undefined)))).filter(
    (process) => process !== undefined,
  );
  const context: Context = { users: await readUsers(), bootTime: await readBootTime(), now: Date.now() / 1000 };
  await parts.records.commitLazily({ events: [containerEvent(parts.nodeId, record, "top")] });
  return {
    titles: chosen.map(({ title }) => title),
    rows: found.map((process) => chosen.map(({ value }) => value(process, context))),
  };
}

function never(name: string): never {
  throw new Error(`no column ${name}`);
}

/** Undefined: something for the host's ps. */
function columnsOf(psArgs: string): string[] | undefined {
  const args = psArgs.trim();
  if (["", "-ef", "-eF", "-f", "-e -f", "ef"].includes(args)) return full;
  const match = /^(?:-?e\s*)?-?o\s*([a-z,\s]+)$/.exec(args) ?? /^-eo\s*([a-z,\s]+)$/.exec(args);
  const names = match?.[1]?.split(/[,\s]+/).filter((name) => name !== "") ?? [];
  return names.includes("pid") && names.every((name) => columns[name] !== undefined) ? names : undefined;
}

/** Every process below the container's cgroup, in whichever hierarchy has it. */
async function processesOf(path: string): Promise<number[]> {
  for (const root of [
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup/pids",
    "/sys/fs/cgroup/memory",
    "/sys/fs/cgroup/cpu",
  ]) {
    const found = await processesBelow(join(root, path)).catch(() => []);
    if (found.length > 0) return found.sort((a, b) => a - b);
  }
  return [];
}

async function processesBelow(directory: string): Promise<number[]> {
  const text = await readFile(join(directory, "cgroup.procs"), "utf8");
  const own = text
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
  const groups = (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const below = await Promise.all(groups.map(({ name }) => processesBelow(join(directory, name)).catch(() => [])));
  return [...own, ...below.flat()];
}

/** proc_pid_stat(5). The name may hold spaces and parentheses: fields are counted from its last one. */
async function readProcess(pid: number): Promise<Process> {
  const [line, commandLine, { uid }] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/cmdline`, "utf8"),
    stat(`/proc/${pid}`),
  ]);
  const close = line.lastIndexOf(")");
  const name = line.slice(line.indexOf("(") + 1, close);
  const fields = line
    .slice(close + 2)
    .split(" ")
    .map(Number);
  const field = (index: number) => fields[index] ?? 0;
  const command = commandLine.replace(/\0$/, "").replaceAll("\0", " ") || `[${name}]`;
  return { pid, ppid: field(1), uid, tty: field(4), cpu: field(11) + field(12), startTicks: field(19), command, name };
}

/** The host's names, as ps on the host would show them. */
async function readUsers(): Promise<Map<number, string>> {
  const text = await readFile("/etc/passwd", "utf8").catch(() => "");
  return new Map(
    text.split("\n").flatMap((line) => {
      const [name, , uid] = line.split(":");
      return name !== undefined && uid !== undefined ? [[Number(uid), name] as const] : [];
    }),
  );
}

async function readBootTime(): Promise<number> {
  return Number(/^btime (\d+)$/m.exec(await readFile("/proc/stat", "utf8"))?.[1] ?? 0);
}

function cpuPercent({ cpu, startTicks }: Process, { bootTime, now }: Context): number {
  const elapsed = now - (bootTime + startTicks / ticksPerSecond);
  return elapsed <= 0 ? 0 : (cpu / ticksPerSecond / elapsed) * 100;
}

/** The hour for one of today, else the day. */
function startTime({ startTicks }: Process, { bootTime, now }: Context): string {
  const started = new Date((bootTime + startTicks / ticksPerSecond) * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  if (now - started.getTime() / 1000 < 86_400) return `${two(started.getHours())}:${two(started.getMinutes())}`;
  return `${started.toLocaleString("en-US", { month: "short" })}${two(started.getDate())}`;
}

function clock(seconds: number): string {
  const two = (n: number) => String(Math.trunc(n)).padStart(2, "0");
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/** linux/major.h: 136 and the seven after it are pseudo terminals. */
function ttyName(device: number): string {
  if (device === 0) return "?";
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major < 144) return `pts/${minor + (major - 136) * 256}`;
  return major === 4 ? `tty${minor}` : "?";
}
