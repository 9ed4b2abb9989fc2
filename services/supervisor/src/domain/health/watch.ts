import { errorMessage } from "@berth/errors";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { restartUnhealthy, wantsRestart } from "../containers/unhealthy.ts";
import type { HealthResult } from "../model.ts";
import { nowNano, toNano } from "../time.ts";
import { type HealthPlan, healthPlan, judged, nextDelay } from "./plan.ts";
import { type closing, runProbe } from "./probe.ts";

/** setTimeout knows no longer ones: 24 days. */
const maxTimerMs = 2 ** 31 - 1;

/** The probing of one run of a container: a timer between probes, and nothing else. */
class HealthWatch {
  readonly #parts: Parts;
  readonly #container: Container;
  readonly #plan: HealthPlan;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts, container: Container, plan: HealthPlan, firstMs: number) {
    this.#parts = parts;
    this.#container = container;
    this.#plan = plan;
    this.#arm(firstMs);
  }

  /** Kills a probe under way, unless this process ends (`closing`). */
  stop(reason?: typeof closing): void {
    clearTimeout(this.#timer);
    this.#stop.abort(reason);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(
      () => {
        if (ms > maxTimerMs) this.#arm(ms - maxTimerMs);
        else this.#probe().catch((error: unknown) => this.#failed(error));
      },
      Math.min(ms, maxTimerMs),
    );
  }

  #failed(error: unknown): void {
    this.#parts.log.error({ container: this.#container.id, err: errorMessage(error) }, "cannot record a health check");
    if (!this.#stop.signal.aborted) this.#arm(this.#plan.intervalMs);
  }

  async #probe(): Promise<void> {
    const { signal } = this.#stop;
    const result = await runProbe(this.#parts, this.#container, this.#plan, signal);
    if (result === undefined) return;
    await this.#container.mutex.run(() => (signal.aborted ? undefined : this.#record(result)));
    if (signal.aborted) return;
    const { health } = this.#container.record.state;
    if (health?.status === "unhealthy" && wantsRestart(this.#container.record)) {
      // Stops this watch, and the next run begins another.
      await restartUnhealthy(this.#parts, this.#container);
      return;
    }
    this.#arm(nextDelay(this.#plan, health?.status ?? "starting", ranForMs(this.#container)));
  }

  async #record(result: HealthResult): Promise<void> {
    const { record } = this.#container;
    const before = record.state.health ?? { status: "starting", failingStreak: 0, log: [] };
    const ranFor = Number(toNano(result.start) - toNano(record.state.startedAt)) / 1_000_000;
    const health = judged(before, this.#plan, result, ranFor);
    record.state.health = health;
    const changed = health.status !== before.status;
    const events = changed ? [containerEvent(this.#parts.nodeId, record, `health_status: ${health.status}`)] : [];
    await this.#parts.records.commitLazily({ put: record, events });
  }
}

export type { HealthWatch };

const ranForMs = ({ record }: Container): number => Number(nowNano() - toNano(record.state.startedAt)) / 1_000_000;

/** A run begins: its health is unknown again; results of the runs before are kept. Changes the record, writes nothing. */
export function startHealth(parts: Parts, container: Container): void {
  const { state, spec } = container.record;
  if (!healthPlan(spec.config)) return;
  state.health = { status: "starting", failingStreak: 0, log: state.health?.log ?? [] };
  resumeHealth(parts, container);
}

/** Probes go on, after a pause or under a supervisor started anew; `sinceMs` of the time to the next one are over. */
export function resumeHealth(parts: Parts, container: Container, sinceMs = 0): void {
  container.health?.stop();
  container.health = undefined;
  const plan = healthPlan(container.record.spec.config);
  if (!plan) return;
  container.record.state.health ??= { status: "starting", failingStreak: 0, log: [] };
  const delay = nextDelay(plan, container.record.state.health.status, ranForMs(container));
  container.health = new HealthWatch(parts, container, plan, Math.max(0, delay - sinceMs));
}

/** Probes end: it was paused, or has ended. What is not checked counts as unhealthy, as Docker has it. Changes the record, writes nothing. */
export function endHealth(container: Container): void {
  container.health?.stop();
  container.health = undefined;
  if (container.record.state.health) container.record.state.health.status = "unhealthy";
}
