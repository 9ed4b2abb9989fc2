import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";

/** A directory that this process alone works in, until released. */
export interface DirectoryLock {
  release(): void;
}

/**
 * Takes `directory/launcher.pid`. The file names a process by pid and start time, so that neither a crash nor a pid used
 * again keeps the directory locked. Throws IN_USE with the owner's pid.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const path = join(directory, "launcher.pid");
  const own = `${process.pid} ${startTime(process.pid)}`;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${own}\n`, { mode: 0o644 });
  try {
    // Twice: the second time after a dead owner's file was removed.
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        linkSync(temporary, path);
        return { release: () => releaseIfOwn(path, own) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const owner = readOwner(path);
      if (owner !== undefined && isRunning(owner)) {
        throw new BerthError("IN_USE", `${directory} is in use by another launcher (pid ${owner.pid})`, {
          pid: String(owner.pid),
        });
      }
      rmSync(path, { force: true });
    }
    throw new BerthError("IN_USE", `${directory} is being taken by another launcher`);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A process as the kernel tells it apart from a later one with the same pid. */
export interface ProcessIdentity {
  pid: number;
  startTime: string;
}

export function identify(pid: number): ProcessIdentity {
  return { pid, startTime: startTime(pid) };
}

export function isRunning({ pid, startTime: expected }: ProcessIdentity): boolean {
  return expected !== "" && startTime(pid) === expected;
}

/** Field 22 of /proc/PID/stat, clock ticks since boot; empty when there is no such process, or only its corpse. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field, the command, may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}

function readOwner(path: string): ProcessIdentity | undefined {
  if (!existsSync(path)) return undefined;
  const [pid, time] = readFileSync(path, "utf8").trim().split(" ");
  return pid !== undefined && time !== undefined ? { pid: Number(pid), startTime: time } : undefined;
}

function releaseIfOwn(path: string, own: string): void {
  try {
    if (readFileSync(path, "utf8").trim() === own) rmSync(path);
  } catch {
    // Gone already.
  }
}
