import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireNatsServer, type NatsServer, startNatsServer } from "@berth/launcher/nats";
import { createLogger } from "@berth/log";
import { openStore, type Store } from "@berth/store";
import { type Bus, connectBus, type EventRecord, type Instance, newEventId, nowNano } from "../src/index.ts";

/** A real server in a directory of its own, and everything that was opened against it. */
export class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), "berth-bus-"));
  server: NatsServer | undefined;
  readonly #closers: (() => Promise<void>)[] = [];

  /** The same port, password and store each time. */
  async start(): Promise<void> {
    const binary = await acquireNatsServer();
    this.server = await startNatsServer({
      binary,
      directory: join(this.dir, "nats"),
      logFd: openSync("/dev/null", "w"),
    });
  }

  async kill(): Promise<void> {
    this.server?.process.kill("SIGKILL");
    await this.server?.exited;
  }

  async bus(): Promise<Bus> {
    if (this.server === undefined) throw new Error("no server");
    const { url, user, passwordFile } = this.server;
    const bus = await connectBus({ url, user, passwordFile, name: "test", log: silent });
    this.#closers.push(() => bus.drain());
    return bus;
  }

  async store(name: string): Promise<Store> {
    const store = await openStore(join(this.dir, name));
    this.#closers.push(() => store.close());
    return store;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    await this.server?.stop();
    rmSync(this.dir, { recursive: true });
  }
}

export const silent = createLogger({ service: "test", level: "silent" });

export function instance(overrides: Partial<Instance> = {}): Instance {
  return {
    role: "supervisor",
    instanceId: newEventId(),
    nodeId: "n1",
    nodeName: "node",
    hostId: "h1",
    site: "default",
    addresses: [],
    version: "0",
    startedAt: new Date().toISOString(),
    ...overrides,
  };
}

export function event(actorId: string, overrides: Partial<EventRecord> = {}): EventRecord {
  return {
    id: newEventId(),
    type: "container",
    action: "start",
    actorId,
    attributes: { image: "busybox" },
    timeNano: String(nowNano()),
    nodeId: "n1",
    scope: "local",
    ...overrides,
  };
}

export async function until(what: string, check: () => boolean | Promise<boolean>, ms = 6_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
