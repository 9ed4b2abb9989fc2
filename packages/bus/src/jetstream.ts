import { type BerthError, errorMessage, BerthError as Failure } from "@berth/errors";
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { nanos } from "@nats-io/transport-node";
import { type Connection, sleep } from "./connection.ts";

export const eventsStream = "BERTH_EVENTS";
const namesBucket = "BERTH_NAMES";
const nodesBucket = "BERTH_NODES";
const revokedBucket = "BERTH_REVOKED";
/** How long a publisher may take to repeat a message after a crash and still be recognised. */
const dedupWindowMs = 10 * 60 * 1000;

/** What JetStream must answer within before a call gives up, ms. */
const requestTimeoutMs = 1_500;

/** The stream and the bucket, made when first needed: a service can start, and serve reads, before JetStream is ready. */
export class JetStream {
  readonly client: JetStreamClient;
  readonly #connection: Connection;
  #manager: Promise<JetStreamManager> | undefined;
  readonly #buckets = new Map<string, Promise<KV>>();

  constructor(connection: Connection) {
    this.#connection = connection;
    this.client = jetstream(connection.nats, { timeout: requestTimeoutMs });
  }

  /** The manager, once the events stream is known to exist. */
  manager(): Promise<JetStreamManager> {
    this.#manager ??= this.#ensureStream().catch((error: unknown) => {
      this.#manager = undefined;
      throw error;
    });
    return this.#manager;
  }

  names(): Promise<KV> {
    return this.#bucket(namesBucket, 64 * 1024 * 1024);
  }

  nodes(): Promise<KV> {
    return this.#bucket(nodesBucket, 4 * 1024 * 1024);
  }

  /** One entry a node that was ever shut out. */
  revoked(): Promise<KV> {
    return this.#bucket(revokedBucket, 4 * 1024 * 1024);
  }

  /** After a server without its store came up, streams are to be looked for again. */
  forget(): void {
    this.#manager = undefined;
    this.#buckets.clear();
  }

  async #ensureStream(): Promise<JetStreamManager> {
    // checkAPI asks for account limits first, a round trip that tells nothing the stream's own answer doesn't.
    const manager = await jetstreamManager(this.#connection.nats, { checkAPI: false, timeout: requestTimeoutMs });
    const config = {
      name: eventsStream,
      subjects: ["berth.events.>"],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: StorageType.File,
      // Bounded by size alone: history is asked for from the beginning of time. Some million events.
      max_bytes: 512 * 1024 * 1024,
      duplicate_window: nanos(dedupWindowMs),
      allow_direct: true,
    };
    try {
      await manager.streams.add(config);
    } catch (error) {
      // Made by an older version, tuned by the operator, or by an attempt of ours whose answer came too late: what is
      // there is used. The server may refuse before it looks whether there is one, as when both would not fit its disk.
      if (!isApiError(error, apiStreamNameInUse) && !(await exists(manager, eventsStream))) throw error;
    }
    return manager;
  }

  /** History and window are small: what is written is guarded by its revision, so that ids of messages need no keeping. */
  #bucket(name: string, bytes: number): Promise<KV> {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new Kvm(this.client).create(name, { history: 1, storage: StorageType.File, max_bytes: bytes });
      this.#buckets.set(name, bucket);
      const opening = bucket;
      opening.catch(() => {
        if (this.#buckets.get(name) === opening) this.#buckets.delete(name);
      });
    }
    return bucket;
  }
}

function exists(manager: JetStreamManager, stream: string): Promise<boolean> {
  return manager.streams.info(stream).then(
    () => true,
    () => false,
  );
}

/** JetStream's error codes (nats-server, server/errors.json). */
const apiStreamNameInUse = 10058;
export const apiWrongLastSequence = 10071;
const apiSequenceUnderWay = 10164;

export function isApiError(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

/**
 * Runs `work` while NATS is there, and again when it failed for want of an answer or of a leader: it must be such that twice is as good as once.
 * Throws UNAVAILABLE when it has no answer within `ms`, NATS being away included.
 */
export async function withinDeadline<T>(
  connection: Connection,
  ms: number,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const timer = new AbortController();
  let last: unknown;
  const late = sleep(ms, timer.signal).then(
    (): never => {
      if (last !== undefined) throw last;
      throw new Failure("UNAVAILABLE", `${what}: NATS did not answer within ${ms / 1000} s`);
    },
    () => new Promise<never>(() => {}),
  );
  const trying = async () => {
    for (;;) {
      await connection.whenUp(timer.signal);
      try {
        return await work();
      } catch (error) {
        if (!isPassing(error)) throw error;
        last = error;
      }
      await sleep(againMs, timer.signal);
    }
  };
  try {
    return await Promise.race([late, trying()]);
  } catch (error) {
    throw asBerthError(what, error);
  } finally {
    timer.abort();
  }
}

/** ms until what failed in passing is tried again. */
const againMs = 200;

/** Servers that elect a leader, or move a stream, say so with a 503, or nothing at all; or that a write before this one is not agreed on yet. */
function isPassing(error: unknown): boolean {
  if (error instanceof JetStreamApiError)
    return error.status === unavailableStatus || error.code === apiSequenceUnderWay;
  return error instanceof Error && !lasting.has(error.name);
}

const unavailableStatus = 503;
/** What no other try changes, by the client's names; and what was understood already. */
const lasting = new Set([
  "BerthError",
  "ClosedConnectionError",
  "DrainingConnectionError",
  "InvalidArgumentError",
  "PermissionViolationError",
  "AuthorizationError",
  "UserAuthenticationExpiredError",
]);

function asBerthError(what: string, error: unknown): BerthError {
  if (error instanceof Error && error.name === "BerthError") return error as BerthError;
  return new Failure("UNAVAILABLE", `${what}: ${errorMessage(error)}`, {}, { cause: error });
}
