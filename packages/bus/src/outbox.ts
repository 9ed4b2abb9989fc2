import { BerthError, errorMessage } from "@berth/errors";
import type { Op, Store, Table } from "@berth/store";
import { type Connection, sleep } from "./connection.ts";
import { type EventRecord, eventSubject } from "./events.ts";
import type { JetStream } from "./jetstream.ts";
import type { Names } from "./names.ts";

/**
 * Facts on their way to NATS. An op goes into the same store.write() batch as the record it tells of: both are kept or
 * neither. A pump publishes in the order of the ops, over restarts and outages; the stream drops repeated ids.
 */
export interface Outbox {
  /** Publishes an event. Throws INVALID_ARGUMENT when it is over 256 KiB. */
  op(event: EventRecord): Op;
  /** Releases a name at NATS, however long that is away: for the batch that deletes a container's record. */
  releaseNameOp(name: string, containerId: string): Op;
  /** How many entries wait. */
  pending(): Promise<number>;
  /** Resolves when everything committed so far is at NATS, or rejects with the signal's reason. */
  flushed(signal?: AbortSignal): Promise<void>;
  /** Stops the pump; what waits is published by the next process. */
  close(): Promise<void>;
}

type Entry = { event: EventRecord } | { release: { name: string; containerId: string } };

const batchSize = 128;
const maxEventBytes = 256 * 1024;
const retryPauseMs = 200;

export function makeOutbox(connection: Connection, jetstream: JetStream, names: Names, store: Store): Outbox {
  return new Pump(connection, jetstream, names, store);
}

class Pump implements Outbox {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #store: Store;
  readonly #table: Table<Entry>;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #dirty = true;
  #idle: Array<() => void> = [];
  #counter = 0;
  readonly #running: Promise<void>;

  constructor(connection: Connection, jetstream: JetStream, names: Names, store: Store) {
    this.#connection = connection;
    this.#jetstream = jetstream;
    this.#names = names;
    this.#store = store;
    this.#table = store.table<Entry>("outbox");
    this.#running = this.#run();
  }

  op(event: EventRecord): Op {
    const size = Buffer.byteLength(JSON.stringify(event));
    if (size > maxEventBytes) throw new BerthError("INVALID_ARGUMENT", `an event of ${size} bytes is too large`);
    return this.#put({ event });
  }

  releaseNameOp(name: string, containerId: string): Op {
    return this.#put({ release: { name, containerId } });
  }

  async pending(): Promise<number> {
    let count = 0;
    for await (const _ of this.#table.keys()) count++;
    return count;
  }

  flushed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      if (signal?.aborted) return reject(signal.reason as Error);
      this.#idle.push(resolve);
      this.#nudge();
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
  }

  #put(entry: Entry): Op {
    return { ...this.#table.putOp(this.#nextKey(), entry), committed: () => this.#nudge() };
  }

  /** Time, then a counter: grows over restarts too, as long as the clock isn't set back by more than the downtime. */
  #nextKey(): string {
    const time = Math.max(Date.now(), this.#lastTime);
    this.#counter = time === this.#lastTime ? this.#counter + 1 : 0;
    this.#lastTime = time;
    return `${time.toString().padStart(15, "0")}-${this.#counter.toString().padStart(6, "0")}`;
  }
  #lastTime = 0;

  #nudge(): void {
    this.#dirty = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        if (await this.#pumpBatch()) continue;
        await this.#sleepUntilNudged();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#connection.log.debug({ err: errorMessage(error) }, "publishing is interrupted, will go on");
        await this.#pause();
      }
    }
  }

  async #pause(): Promise<void> {
    try {
      await sleep(retryPauseMs, this.#stop.signal);
      await this.#connection.whenUp(this.#stop.signal);
    } catch {
      // Closing.
    }
  }

  async #sleepUntilNudged(): Promise<void> {
    if (this.#dirty || this.#stop.signal.aborted) return;
    for (const resolve of this.#idle.splice(0)) resolve();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  /** Publishes what waits, oldest first. False when nothing did. Throws at the first that failed; nothing after it is taken. */
  async #pumpBatch(): Promise<boolean> {
    this.#dirty = false;
    const batch = await Array.fromAsync(this.#table.entries({ limit: batchSize }));
    if (batch.length === 0) return false;
    await this.#connection.whenUp(this.#stop.signal);
    await this.#jetstream.manager();
    const results = await this.#deliver(batch.map(([, entry]) => entry));
    const failed = results.findIndex((result) => result.status === "rejected");
    const done = failed < 0 ? batch : batch.slice(0, failed);
    // Lazy: if it is lost the entry is published again, and dropped by the stream as a duplicate.
    if (done.length > 0) await this.#store.writeLazy(done.map(([key]) => this.#table.delOp(key)));
    if (failed >= 0) throw (results[failed] as PromiseRejectedResult).reason;
    return true;
  }

  /**
   * All are sent in one go, before any is awaited. The client writes them in order to one connection, and what is not yet
   * written when that breaks it drops, so that a later event is never stored without the earlier ones.
   */
  #deliver(entries: readonly Entry[]): Promise<PromiseSettledResult<unknown>[]> {
    return Promise.allSettled(
      entries.map((entry) =>
        "event" in entry
          ? this.#jetstream.client.publish(eventSubject(entry.event), JSON.stringify(entry.event), {
              msgID: entry.event.id,
            })
          : this.#names.release(entry.release.name, entry.release.containerId),
      ),
    );
  }
}
