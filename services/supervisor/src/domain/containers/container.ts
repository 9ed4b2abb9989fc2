import { BerthError } from "@berth/errors";
import { Writers } from "../files/writers.ts";
import type { HealthWatch } from "../health/watch.ts";
import type { Shipper } from "../logs/ship/shipper.ts";
import type { ContainerRecord } from "../model.ts";
import { MonitorClient, type Subscription } from "../monitor/client.ts";
import type { Outcome } from "../moves/settle.ts";
import { Mutex } from "../mutex.ts";

export type WaitCondition = "not-running" | "next-exit" | "removed";

export interface WaitResult {
  exitCode: number;
  error: string;
}

interface Waiter {
  condition: WaitCondition;
  resolve: (result: WaitResult) => void;
  reject: (error: Error) => void;
}

/** One container while this process lives: its record, what is open to its monitor, who waits for it. */
export class Container {
  record: ContainerRecord;
  /** Held by every step that changes the record. Short: nothing waits for a container's own process with it. */
  readonly mutex = new Mutex();
  /** Who writes into its files from outside. */
  readonly writers = new Writers();
  readonly monitor: MonitorClient;
  /** The socket's descriptor between its making and the monitor's start. */
  listener: number | undefined;
  subscription: Subscription | undefined;
  /** While its log is on its way to a server. */
  shipper: Shipper | undefined;
  /** Before the next run of the restart policy. */
  restartTimer: NodeJS.Timeout | undefined;
  restartDelayMs = 0;
  /** Gone for good; calls that waited for the mutex find it so. */
  removed = false;
  readonly execs = new Set<string>();
  /** Those of {@link execs} that have not ended: inspect is asked before every exec, and must not look through them all. */
  readonly openExecs = new Set<string>();
  /** While it runs and is checked. */
  health: HealthWatch | undefined;
  /** `docker restart`s under way: its exit is not its end. */
  restarts = 0;
  /** `docker stop`s that wait for its end. Who ends first tells of them: Docker's `stop` comes before its `die`. */
  readonly stops = new Set<{ told: boolean }>();
  /** It is being ended because it is unhealthy: its exit asks for another run. */
  replacing = false;
  /** Finding out which node has it, after it was on its way to another. */
  settling: Promise<Outcome> | undefined;
  readonly #execEnds = new Map<string, () => void>();
  readonly #waiters = new Set<Waiter>();
  readonly #watchers = new Set<() => void>();

  constructor(record: ContainerRecord, socketPath: string) {
    this.record = record;
    this.monitor = new MonitorClient(socketPath);
  }

  get id(): string {
    return this.record.id;
  }

  /** Resolves at the next exit, stop or removal, whichever the condition names. Rejects with the signal's reason. */
  wait(condition: WaitCondition, signal?: AbortSignal): Promise<WaitResult> {
    const { promise, resolve, reject } = Promise.withResolvers<WaitResult>();
    const waiter: Waiter = { condition, resolve, reject };
    const abort = () => reject(signal?.reason as Error);
    if (signal?.aborted) abort();
    else {
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
    }
    return promise.finally(() => {
      this.#waiters.delete(waiter);
      signal?.removeEventListener("abort", abort);
    });
  }

  /** Resolves when execEnded() is called for this exec: ask before it is started. */
  execEnd(id: string): Promise<void> {
    return new Promise((resolve) => this.#execEnds.set(id, resolve));
  }

  execEnded(id: string): void {
    this.#execEnds.get(id)?.();
    this.#execEnds.delete(id);
  }

  /** The container's first process has ended. "not-running" is over then, though a restart may follow: as in Docker. */
  exited(): void {
    this.#resolve((condition) => condition !== "removed");
    this.changed();
  }

  hasBeenRemoved(): void {
    this.removed = true;
    // Why a start failed its caller knows; of those who wait for the end Docker tells it only who asked before.
    this.#resolve(() => true, "");
    this.changed();
  }

  /** It is another node's, and goes on there: who waits has to ask again. */
  hasMoved(): void {
    this.removed = true;
    const moved = new BerthError("UNAVAILABLE", `container ${this.id} has moved to another node`);
    for (const waiter of [...this.#waiters]) waiter.reject(moved);
    this.changed();
  }

  /** Calls back at each exit and removal until the returned function is called: for followers of the log. */
  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  #resolve(matches: (condition: WaitCondition) => boolean, error = this.record.state.error): void {
    const { exitCode } = this.record.state;
    for (const waiter of [...this.#waiters]) {
      if (matches(waiter.condition)) waiter.resolve({ exitCode, error });
    }
  }
}
