import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identify, isRunning, type ProcessIdentity } from "./lock.ts";

/** RUN_DIR/launcher.json: what runs, for whoever wants to know, and for the next launcher if this one is killed. */
export interface LauncherState {
  pid: number;
  ready: boolean;
  hosts: string[];
  processes: Record<string, ProcessState>;
}

export interface ProcessState extends ProcessIdentity {
  /** It answered a health check since its start. */
  serving: boolean;
}

const fileName = "launcher.json";

export class StateFile {
  readonly #path: string;
  readonly #state: LauncherState;

  constructor(runDir: string, hosts: string[]) {
    this.#path = join(runDir, fileName);
    this.#state = { pid: process.pid, ready: false, hosts, processes: {} };
    this.#write();
  }

  setProcess(name: string, pid: number): void {
    this.#state.processes[name] = { ...identify(pid), serving: false };
    this.#write();
  }

  setServing(name: string, pid: number): void {
    const known = this.#state.processes[name];
    if (known?.pid !== pid) return;
    known.serving = true;
    this.#write();
  }

  setReady(): void {
    this.#state.ready = true;
    this.#write();
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }

  #write(): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify(this.#state), { mode: 0o644 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

export function readState(runDir: string): LauncherState | undefined {
  try {
    return JSON.parse(readFileSync(join(runDir, fileName), "utf8")) as LauncherState;
  } catch {
    return undefined;
  }
}

const leftoverGraceMs = 12_000;

/** Ends what a launcher left behind that was killed itself. Its children notice by themselves; this waits for them. */
export async function endLeftovers(runDir: string): Promise<void> {
  const left = Object.values(readState(runDir)?.processes ?? {}).filter(isRunning);
  const signalAll = (signal: NodeJS.Signals) => {
    for (const identity of left) if (isRunning(identity)) process.kill(identity.pid, signal);
  };
  if (left.length > 0) signalAll("SIGTERM");
  const deadline = performance.now() + leftoverGraceMs;
  while (left.some(isRunning)) {
    if (performance.now() > deadline) signalAll("SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
