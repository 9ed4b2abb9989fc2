import { errorMessage } from "@berth/errors";
import { StorageType } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type Connection, sleep } from "./connection.ts";
import { type JetStream, withinDeadline } from "./jetstream.ts";

/** Which certificates are good no more although they have not expired. */
export interface Revocations {
  /** Whether a node's certificate, issued then (ms since the epoch), was revoked, as far as is known here. */
  has(nodeId: string, issuedAt: number): boolean;
  /** Calls back for each node whose certificates are revoked from now on; gives what ends it. */
  onRevoked(listener: (nodeId: string, until: number) => void): () => void;
  /** Revokes what was issued until `until`. For the authority, which alone may write here. @throws UNAVAILABLE */
  publish(nodeId: string, until: number): Promise<void>;
  close(): void;
}

const bucketName = "BERTH_REVOKED";
/** No certificate is good for longer than 90 days. */
const keptMs = 91 * 24 * 3_600_000;
const publishDeadlineMs = 2_000;
const retryPauseMs = 250;

export function makeRevocations(connection: Connection, jetstream: JetStream): Revocations {
  return new WatchedRevocations(connection, jetstream);
}

/** The bucket, read from the first question on, and again after every outage. */
class WatchedRevocations implements Revocations {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #until = new Map<string, number>();
  readonly #listeners = new Set<(nodeId: string, until: number) => void>();
  readonly #closing = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(connection: Connection, jetstream: JetStream) {
    this.#connection = connection;
    this.#jetstream = jetstream;
  }

  has(nodeId: string, issuedAt: number): boolean {
    this.#watching ??= this.#watch();
    const until = this.#until.get(nodeId);
    return until !== undefined && issuedAt <= until;
  }

  onRevoked(listener: (nodeId: string, until: number) => void): () => void {
    this.#watching ??= this.#watch();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async publish(nodeId: string, until: number): Promise<void> {
    await withinDeadline(this.#connection, publishDeadlineMs, `cannot shut node ${nodeId} out`, async () => {
      const bucket = await this.#open();
      await bucket.put(nodeId, String(until));
    });
  }

  close(): void {
    this.#closing.abort();
  }

  #open(): Promise<KV> {
    const options = { history: 1, storage: StorageType.File, ttl: keptMs, max_bytes: 16 * 1024 * 1024 };
    return new Kvm(this.#jetstream.client).create(bucketName, options);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing;
    let told = false;
    while (!signal.aborted) {
      try {
        await this.#connection.whenUp(signal);
        const entries = await (await this.#open()).watch();
        told = false;
        const stop = () => entries.stop();
        const stopListening = this.#connection.onChange((up) => {
          if (!up) stop();
        });
        signal.addEventListener("abort", stop, { once: true });
        try {
          for await (const entry of entries)
            if (entry.operation === "PUT") this.#learn(entry.key, Number(entry.string()));
        } finally {
          stopListening();
          signal.removeEventListener("abort", stop);
        }
      } catch (error) {
        if (!told && !signal.aborted)
          this.#connection.log.warn({ err: errorMessage(error) }, "revoked certificates can't be read, will try again");
        told = true;
      }
      await sleep(retryPauseMs, signal).catch(() => undefined);
    }
  }

  #learn(nodeId: string, until: number): void {
    if (!Number.isFinite(until) || until <= (this.#until.get(nodeId) ?? 0)) return;
    this.#until.set(nodeId, until);
    for (const listener of [...this.#listeners]) listener(nodeId, until);
  }
}
