import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { LogDirectory } from "./logs.ts";

export interface ChildSpec {
  name: string;
  command: string;
  args: readonly string[];
  /** Asked for at each start. */
  env: () => NodeJS.ProcessEnv;
  /** How long it may take to stop after SIGTERM before SIGKILL, ms. */
  graceMs: number;
}

export interface ChildEvents {
  started(name: string, pid: number): void;
  /** It died although nobody asked it to. */
  died(name: string, how: string, restartInMs: number): void;
  /** A line of its output, in verbose mode. */
  output?: ((name: string, text: string) => void) | undefined;
}

/** A process that ran this long is no crash loop: its next restart is at once again. */
const healthyAfterMs = 10_000;
/** Between starts of a process that never came to serve: it lacks something, which more starts don't bring. */
const maxStartPauseMs = 10_000;
/** Between starts of one that served before it died: its clients wait for it, 5 s for a call. */
const maxServedPauseMs = 1_000;

/** ms before the start that follows the `failures`-th death in a row of a process, that `served` before it died or did not. */
export function pauseBefore(failures: number, served: boolean): number {
  return failures === 1 ? 0 : Math.min(served ? maxServedPauseMs : maxStartPauseMs, 125 * 2 ** failures);
}

/** One process that is kept running: the first restart comes at once, repeated ones after growing pauses. */
export class Child {
  readonly name: string;
  readonly #spec: ChildSpec;
  readonly #logs: LogDirectory;
  readonly #events: ChildEvents;
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #startedAt = 0;
  #served = false;
  #failures = 0;
  #stopping = false;
  #replacing = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(spec: ChildSpec, logs: LogDirectory, events: ChildEvents) {
    this.name = spec.name;
    this.#spec = spec;
    this.#logs = logs;
    this.#events = events;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** How often in a row it died soon after its start. */
  get failures(): number {
    return this.#failures;
  }

  /** It has been seen serving since its last start. */
  served(): void {
    this.#served = true;
  }

  start(): void {
    const { command, args } = this.#spec;
    const log = this.#logs.open(this.name);
    this.#startedAt = performance.now();
    this.#served = false;
    const child = spawn(command, args, this.#options(log));
    closeSync(log);
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      const end = (how: string) => {
        resolve();
        this.#ended(child, how);
      };
      child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
      child.once("error", (error) => end(error.message));
    });
    if (child.pid !== undefined) this.#events.started(this.name, child.pid);
    const { output } = this.#events;
    if (output !== undefined) {
      for (const stream of [child.stdout, child.stderr])
        stream?.on("data", (data: Buffer) => output(this.name, data.toString()));
    }
  }

  /** Sent if it runs. */
  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** SIGTERM, then SIGKILL when the grace is over. Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    await this.#end();
  }

  /** Ends it as {@link stop} does and starts it again, from what is installed now. One that is down is started soon anyway. */
  async replace(): Promise<void> {
    if (this.#process === undefined || this.#stopping) return;
    this.#replacing = true;
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#process === undefined) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process?.kill("SIGKILL"), this.#spec.graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #options(log: number): SpawnOptions {
    const verbose = this.#events.output !== undefined;
    return {
      // Standard input is a pipe that only the launcher holds: its end tells the child that the launcher is gone.
      stdio: ["pipe", verbose ? "pipe" : log, verbose ? "pipe" : log],
      env: this.#spec.env(),
      // A session of its own: Ctrl-C is for the launcher, which stops its children in order.
      detached: true,
    };
  }

  #ended(child: ChildProcess, how: string): void {
    if (this.#process !== child) return;
    this.#process = undefined;
    if (this.#stopping) return;
    if (this.#replacing) {
      this.#replacing = false;
      this.#failures = 0;
      this.start();
      return;
    }
    this.#failures = performance.now() - this.#startedAt > healthyAfterMs ? 1 : this.#failures + 1;
    const pause = pauseBefore(this.#failures, this.#served);
    this.#events.died(this.name, how, pause);
    this.#restart = setTimeout(() => this.start(), pause);
  }
}
