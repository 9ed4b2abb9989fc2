import { errorMessage } from "@berth/errors";
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
  /** Publishes an event; of one over 256 KiB what is short, as the record beside it in the batch must not fail by it. */
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
/** characters kept of the action of an event that is too large */
const maxActionLength = 4096;
const retryPauseMs = 200;
/** Entries held in memory; with more waiting (NATS is away) they are read from the store again. */
const maxQueued = 4096;
/**
 * ms of silence that events wait for: one publishing wakes two processes and fsyncs a stream, and the events of what one
 * client does (create, start, die) come within milliseconds of each other, while that client still waits for its answer.
 */
const lingerMs = 20;
/** An event waits no longer than this, however many follow it. */
const longestLingerMs = 60;
/** ms after which what was published is deleted, together: a write costs more than an event. */
const tidyDelayMs = 25;

export function makeOutbox(connection: Connection, jetstream: JetStream, names: Names, store: Store): Outbox {
  return new Pump(connection, jetstream, names, store);
}

/** An event that NATS takes: the action is cut (a command line may be long), of the attributes the longest are left out. */
function bounded(event: EventRecord): EventRecord {
  const sizeOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
  if (sizeOf(event) <= maxEventBytes) return event;
  const cut: EventRecord = { ...event, action: event.action.slice(0, maxActionLength), attributes: {} };
  let left = maxEventBytes - sizeOf(cut);
  const attributes = Object.entries(event.attributes).map(([key, value]) => ({
    key,
    value,
    size: sizeOf([key, value]),
  }));
  for (const { key, value, size } of attributes.sort((a, b) => a.size - b.size)) {
    left -= size;
    if (left < 0) break;
    cut.attributes[key] = value;
  }
  return cut;
}

class Pump implements Outbox {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #names: Names;
  readonly #store: Store;
  readonly #table: Table<Entry>;
  readonly #stop = new AbortController();
  #wake: (() => void) | undefined;
  #lingering: NodeJS.Timeout | undefined;
  #lingeringSince = 0;
  #dirty = true;
  #idle: Array<() => void> = [];
  /** Committed and not published, in order. What is here is in the store too. */
  #queue: (readonly [key: string, entry: Entry])[] = [];
  /** There is more in the store than in the queue: what an earlier process left, or what did not fit. */
  #behind = true;
  /** Keys of entries that are published and still in the store. */
  #published: string[] = [];
  #tidyTimer: NodeJS.Timeout | undefined;
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
    return this.#put({ event: bounded(event) });
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
    clearTimeout(this.#lingering);
    this.#wake?.();
    await this.#running;
    // The store may be closed already: then the next process publishes them again, which the stream drops.
    await this.#tidy().catch(() => undefined);
  }

  #put(entry: Entry): Op {
    const key = this.#nextKey();
    const committed = () => {
      if (this.#queue.length >= maxQueued) this.#behind = true;
      if (!this.#behind) this.#queue.push([key, entry]);
      // A name is waited for, perhaps by another node.
      if ("release" in entry || this.#queue.length >= batchSize) this.#nudge();
      else this.#linger();
    };
    return { ...this.#table.putOp(key, entry), committed };
  }

  /** Time, then a counter: grows over restarts too, as long as the clock isn't set back by more than the downtime. */
  #nextKey(): string {
    const time = Math.max(Date.now(), this.#lastTime);
    this.#counter = time === this.#lastTime ? this.#counter + 1 : 0;
    this.#lastTime = time;
    return `${time.toString().padStart(15, "0")}-${this.#counter.toString().padStart(6, "0")}`;
  }
  #lastTime = 0;

  #linger(): void {
    const now = performance.now();
    if (this.#lingering === undefined) {
      this.#lingeringSince = now;
      this.#lingering = setTimeout(() => this.#nudge(), lingerMs);
    } else if (now - this.#lingeringSince <= longestLingerMs - lingerMs) this.#lingering.refresh();
  }

  #nudge(): void {
    clearTimeout(this.#lingering);
    this.#lingering = undefined;
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
    if (this.#idle.length > 0) await this.#tidy();
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
    const batch = await this.#next();
    if (batch.length === 0) return false;
    await this.#connection.whenUp(this.#stop.signal);
    await this.#jetstream.manager();
    const results = await this.#deliver(batch.map(([, entry]) => entry));
    const failed = results.findIndex((result) => result.status === "rejected");
    const done = failed < 0 ? batch : batch.slice(0, failed);
    this.#published.push(...done.map(([key]) => key));
    this.#tidySoon();
    this.#queue.splice(0, done.length);
    if (failed >= 0) throw (results[failed] as PromiseRejectedResult).reason;
    return true;
  }

  /** The oldest entries that wait: as a rule from memory. They stay in the queue until they are published. */
  async #next(): Promise<(readonly [string, Entry])[]> {
    if (this.#behind && this.#queue.length === 0) await this.#catchUp();
    return this.#queue.slice(0, batchSize);
  }

  /** Reads what only the store has. What is committed meanwhile is queued as well, and may be in both. */
  async #catchUp(): Promise<void> {
    await this.#tidy();
    this.#behind = false;
    const read = await Array.fromAsync(this.#table.entries({ limit: batchSize })).catch((error: unknown) => {
      this.#behind = true;
      throw error;
    });
    if (read.length === batchSize) {
      this.#behind = true;
      this.#queue = read;
      return;
    }
    const known = new Set(read.map(([key]) => key));
    this.#queue = [...read, ...this.#queue.filter(([key]) => !known.has(key))];
  }

  #tidySoon(): void {
    this.#tidyTimer ??= setTimeout(() => {
      this.#tidy().catch((error: unknown) => {
        this.#connection.log.debug({ err: errorMessage(error) }, "cannot delete what was published");
      });
    }, tidyDelayMs);
  }

  /** Lazily: if it is lost the entry is published again, and dropped by the stream as a duplicate. */
  async #tidy(): Promise<void> {
    clearTimeout(this.#tidyTimer);
    this.#tidyTimer = undefined;
    const keys = this.#published.splice(0);
    if (keys.length === 0) return;
    try {
      await this.#store.writeLazy(keys.map((key) => this.#table.delOp(key)));
    } catch (error) {
      this.#published.unshift(...keys);
      throw error;
    }
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
