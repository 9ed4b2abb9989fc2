import type { Connection } from "./connection.ts";
import { followBucket } from "./follow.ts";
import { type JetStream, withinDeadline } from "./jetstream.ts";

/** Which certificates are good no more although they have not expired. */
export interface Revocations {
  /** Whether a node's certificate, issued then (ms since the epoch), was revoked, as far as is known here. */
  has(nodeId: string, issuedAt: number): boolean;
  /** Calls back for each node whose certificates are revoked from now on; gives what ends it. */
  onRevoked(listener: (nodeId: string, until: number) => void): () => void;
  /** Revokes what was issued until `until`. For the authority, which alone may write here. @throws UNAVAILABLE */
  publish(nodeId: string, until: number): Promise<void>;
}

const publishDeadlineMs = 2_000;

export function makeRevocations(connection: Connection, jetstream: JetStream): Revocations {
  return new FollowedRevocations(connection, jetstream);
}

/** The bucket, followed from the first question on until the connection is drained. */
class FollowedRevocations implements Revocations {
  readonly #connection: Connection;
  readonly #jetstream: JetStream;
  readonly #until = new Map<string, number>();
  readonly #listeners = new Set<(nodeId: string, until: number) => void>();
  #following = false;

  constructor(connection: Connection, jetstream: JetStream) {
    this.#connection = connection;
    this.#jetstream = jetstream;
  }

  has(nodeId: string, issuedAt: number): boolean {
    this.#follow();
    const until = this.#until.get(nodeId);
    return until !== undefined && issuedAt <= until;
  }

  onRevoked(listener: (nodeId: string, until: number) => void): () => void {
    this.#follow();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async publish(nodeId: string, until: number): Promise<void> {
    await withinDeadline(this.#connection, publishDeadlineMs, `cannot shut node ${nodeId} out`, async () =>
      (await this.#jetstream.revoked()).put(nodeId, String(until)),
    );
  }

  #follow(): void {
    if (this.#following) return;
    this.#following = true;
    void followBucket(
      this.#connection,
      () => this.#jetstream.revoked(),
      // What was revoked stays so, whatever is heard after an outage.
      () => {},
      (entry) => {
        if (entry.operation === "PUT") this.#learn(entry.key, Number(entry.string()));
      },
    );
  }

  #learn(nodeId: string, until: number): void {
    if (!Number.isFinite(until) || until <= (this.#until.get(nodeId) ?? 0)) return;
    this.#until.set(nodeId, until);
    for (const listener of [...this.#listeners]) listener(nodeId, until);
  }
}
