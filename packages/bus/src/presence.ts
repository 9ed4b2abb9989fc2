import { Buffer } from "node:buffer";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import type { Connection } from "./connection.ts";
import { type Instance, type News, parseInstance, type Role } from "./roles.ts";

/** An announced instance. It is gone from the others' view after leave(), or 3 s after its process stopped beating. */
export interface Presence {
  readonly instance: Instance;
  /** Its load is another one: told at once, or with others within 100 ms. */
  changed(): void;
  leave(): void;
}

const heartbeatMs = 1_000;
/** ms between beats that tell of changes. */
const changeMs = 100;
/** Three missed beats. */
const expiryMs = 3_000;
/** With the node in it, so that NATS can keep a node from speaking for another. */
const subjectOf = ({ role, nodeId, instanceId }: Instance) => `berth.presence.${role}.${nodeId}.${instanceId}`;
const askSubject = "berth.presence-ask";
const bye = Buffer.from("bye");
/** A peer's announcement is a few hundred bytes; more is not one. */
const maxAnnouncement = 16 * 1024;

interface Seen {
  instance: Instance;
  /** The announcement's bytes: a beat that says the same again needs no parsing. */
  bytes: Buffer;
  /** Of performance.now(), ms: this machine's clock alone decides. */
  lastBeat: number;
}

/** Who is there, by core NATS: every instance beats once a second, and at once when a newcomer asks. */
export class PresenceBoard {
  readonly #connection: Connection;
  readonly #seen = new Map<string, Seen>();
  readonly #listeners = new Set<() => void>();
  readonly #own = new Map<string, () => Buffer>();
  #snapshot: readonly Instance[] = [];
  readonly #timer: NodeJS.Timeout;
  #changeTimer: NodeJS.Timeout | undefined;
  #hasMore = false;
  #expiring = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    const { nats } = connection;
    nats.subscribe("berth.presence.*.*.*", {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
    nats.subscribe(askSubject, {
      callback: (error) => {
        if (error === null) this.#beat();
      },
    });
    this.#ask();
    connection.onChange((up) => {
      if (up) this.#resume();
    });
    this.#timer = setInterval(() => this.#tick(), heartbeatMs);
    this.#timer.unref();
  }

  announce(instance: Instance, news?: () => News): Presence {
    const subject = subjectOf(instance);
    const constant = Buffer.from(JSON.stringify(instance));
    const beat = news === undefined ? () => constant : () => Buffer.from(JSON.stringify({ ...instance, ...news() }));
    this.#own.set(subject, beat);
    this.#beat();
    return {
      instance,
      changed: () => this.#tellChange(),
      leave: () => {
        if (!this.#own.delete(subject)) return;
        if (this.#connection.up) publish(this.#connection.nats, subject, bye);
      },
    };
  }

  instances(role: Role): Instance[] {
    return this.#snapshot.filter((instance) => instance.role === role);
  }

  onInstances(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  waitFor(role: Role, signal?: AbortSignal): Promise<Instance> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const [found] = this.instances(role);
        if (found === undefined) return;
        end();
        resolve(found);
      };
      const aborted = () => {
        end();
        reject(signal?.reason as Error);
      };
      const stop = this.onInstances(look);
      const end = () => {
        stop();
        signal?.removeEventListener("abort", aborted);
      };
      if (signal?.aborted) return aborted();
      signal?.addEventListener("abort", aborted, { once: true });
      look();
    });
  }

  close(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#changeTimer);
    if (!this.#connection.up) return;
    for (const subject of this.#own.keys()) publish(this.#connection.nats, subject, bye);
    this.#own.clear();
  }

  #receive(message: Msg): void {
    const key = message.subject;
    if (message.data.length > maxAnnouncement) return;
    if (bye.equals(message.data)) {
      if (this.#seen.delete(key)) this.#changed();
      return;
    }
    const known = this.#seen.get(key);
    if (known?.bytes.equals(message.data)) {
      known.lastBeat = performance.now();
      return;
    }
    const instance = parse(message.data);
    if (instance === undefined || subjectOf(instance) !== key) return;
    if (known?.instance.instanceId === instance.instanceId) {
      // The same process: its load alone changes, which nobody has to be woken for.
      if (instance.load !== undefined) known.instance.load = instance.load;
      known.bytes = Buffer.from(message.data);
      known.lastBeat = performance.now();
      if (instance.nats?.version !== known.instance.nats?.version) {
        known.instance = instance;
        this.#changed();
      }
      return;
    }
    this.#forgetPredecessors(instance);
    this.#seen.set(key, { instance, bytes: Buffer.from(message.data), lastBeat: performance.now() });
    this.#changed();
  }

  /** A socket belongs to one process: whoever announces it has taken it over from one that died without a bye. */
  #forgetPredecessors(newcomer: Instance): void {
    for (const [key, { instance }] of this.#seen) {
      if (instance.hostId !== newcomer.hostId || instance.instanceId === newcomer.instanceId) continue;
      if (instance.startedAt > newcomer.startedAt) continue;
      if (instance.addresses.some((address) => newcomer.addresses.includes(address))) this.#seen.delete(key);
    }
  }

  #tick(): void {
    // While NATS is away nobody's beats arrive, which says nothing about them: the last known instances stay.
    if (!this.#connection.up) return;
    this.#beat();
    if (this.#silent().length > 0) void this.#expire();
  }

  /** Those not heard of for too long, by their keys. */
  #silent(): string[] {
    const oldest = performance.now() - expiryMs;
    return [...this.#seen].filter(([, { lastBeat }]) => lastBeat < oldest).map(([key]) => key);
  }

  /** A network that drops everything looks like silence for seconds before the connection is known to be dead: first NATS itself must answer. */
  async #expire(): Promise<void> {
    if (this.#expiring) return;
    this.#expiring = true;
    try {
      await this.#connection.nats.flush();
      const silent = this.#silent();
      for (const key of silent) this.#seen.delete(key);
      if (silent.length > 0) this.#changed();
    } catch {
      // The connection is down, or closed: as above.
    } finally {
      this.#expiring = false;
    }
  }

  #beat(): void {
    if (!this.#connection.up) return;
    for (const [subject, bytes] of this.#own) publish(this.#connection.nats, subject, bytes());
  }

  /** At once, so that the next choice of a node reckons with it, however soon it comes; the rest of a burst in one beat. */
  #tellChange(): void {
    if (this.#changeTimer !== undefined) {
      this.#hasMore = true;
      return;
    }
    this.#hasMore = false;
    this.#beat();
    this.#changeTimer = setTimeout(() => {
      this.#changeTimer = undefined;
      if (this.#hasMore) this.#tellChange();
    }, changeMs);
    this.#changeTimer.unref();
  }

  #ask(): void {
    publish(this.#connection.nats, askSubject, Buffer.alloc(0));
  }

  /** After an outage everyone has the full 3 s to be heard again. */
  #resume(): void {
    const now = performance.now();
    for (const seen of this.#seen.values()) seen.lastBeat = now;
    this.#beat();
    this.#ask();
  }

  #changed(): void {
    this.#snapshot = [...this.#seen.values()].map(({ instance }) => instance);
    for (const listener of [...this.#listeners]) listener();
  }
}

function parse(bytes: Uint8Array): Instance | undefined {
  try {
    return parseInstance(JSON.parse(Buffer.from(bytes).toString("utf8")));
  } catch {
    return undefined;
  }
}

/** A beat lost because the connection just closed is made good by the next one. */
function publish(nats: NatsConnection, subject: string, bytes: Uint8Array): void {
  if (!nats.isClosed()) nats.publish(subject, bytes);
}
