import { removeParentGroup } from "./cgroups.ts";
import type { Container } from "./containers/container.ts";
import { type Created, type CreateOptions, create, type PendingCreates } from "./containers/create.ts";
import type { Parts } from "./containers/parts.ts";
import { isRunning } from "./containers/state.ts";
import { closing } from "./health/probe.ts";
import { refuseMoving } from "./moves/guard.ts";
import { within } from "./within.ts";

/** ms; the launcher waits some seconds longer than this and the calls' own time together. */
const restMs = 3_000;

/** The calls on one node's containers: what rpc/ translates to. The functions of containers/, exec/, logs/ do the work. */
export class Engine {
  readonly parts: Parts;
  readonly #pending: PendingCreates = new Map();

  constructor(parts: Parts) {
    this.parts = parts;
  }

  create(options: CreateOptions, signal?: AbortSignal): Promise<Created> {
    return create(this.parts, this.#pending, options, signal);
  }

  find(reference: string): Container {
    return this.parts.registry.find(reference);
  }

  /** One that is to be changed. @throws as find(); CONFLICT while it is on its way between nodes */
  findToChange(reference: string): Container {
    const container = this.find(reference);
    refuseMoving(container.record);
    return container;
  }

  /** At the end of the process: timers end, containers stay. */
  async close(): Promise<void> {
    await this.#rest();
    for (const container of this.parts.registry.all()) {
      clearTimeout(container.restartTimer);
      container.health?.stop(closing);
      const { subscription } = container;
      container.subscription = undefined;
      subscription?.close();
      if (container.listener !== undefined) this.parts.launcher.close(container.listener);
    }
    await Promise.all(this.parts.registry.all().map((container) => container.shipper?.stop()));
    await this.parts.registry.discarded();
    await this.parts.networks.bridge.close();
    if (!this.parts.registry.all().some(({ record }) => isRunning(record))) await removeParentGroup();
  }

  /** A start under way (of a restart policy, say, which no call waits for) comes to its end while it can be recorded. */
  async #rest(): Promise<void> {
    const all = this.parts.registry.all();
    for (const container of all) clearTimeout(container.restartTimer);
    const busy = all.filter(({ mutex }) => mutex.busy);
    await within(Promise.all(busy.map(({ mutex }) => mutex.run(() => {}))), restMs);
  }
}
