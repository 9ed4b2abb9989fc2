import { BerthError } from "@berth/errors";
import type { KV, KvEntry } from "@nats-io/kv";
import type { Connection } from "./connection.ts";
import { followBucket } from "./follow.ts";
import { apiWrongLastSequence, isApiError, type JetStream, withinDeadline } from "./jetstream.ts";

/** Whose a name is. */
export interface NameValue {
  containerId: string;
  nodeId: string;
  /** For those who can't ask its node. */
  about?: ContainerFacts;
}

/** What of a container never changes, short enough to be at hand everywhere. */
export interface ContainerFacts {
  image: string;
  imageId: string;
  command: string;
  /** seconds since the epoch */
  created: number;
  labels: Record<string, string>;
}

export type NameEntry = NameValue & { name: string };

/** Container names, unique over all hosts. Every call but entries() throws UNAVAILABLE within 2 s when NATS is away. */
export interface Names {
  /** Takes a name. Claiming again for the same container is no error. Throws NAME_IN_USE with details {containerId}. */
  claim(name: string, value: NameValue): Promise<void>;
  /** Gives a name back if the container still has it; otherwise does nothing. */
  release(name: string, containerId: string): Promise<void>;
  lookup(name: string): Promise<NameValue | undefined>;
  /**
   * Tells of all names and then of each change, until the connection is drained; after an outage of all names again, behind
   * a `begin`. `entry` has no value for a name that was given back.
   */
  follow(begin: () => void, told: (entry: { name: string; value: NameValue | undefined }) => void): void;
  /** Every name, of one node when given: how a node finds names that a crash left without a record. */
  entries(nodeId?: string): Promise<NameEntry[]>;
}

const deadlineMs = 2_000;
/** ms for all names there are, of all nodes */
const listDeadlineMs = 60_000;

export function makeNames(connection: Connection, jetstream: JetStream): Names {
  const run = <T>(what: string, work: (bucket: KV) => Promise<T>, ms = deadlineMs) =>
    withinDeadline(connection, ms, what, async () => work(await jetstream.names()));

  return {
    claim: (name, value) => run(`cannot claim the name "${name}"`, (bucket) => claimIn(bucket, name, value)),
    release: (name, containerId) =>
      run(`cannot release the name "${name}"`, (bucket) => releaseIn(bucket, name, containerId)),
    lookup: (name) =>
      run(`cannot look up the name "${name}"`, async (bucket) => {
        const entry = await bucket.get(keyOf(name));
        return isLive(entry) ? entry.json<NameValue>() : undefined;
      }),
    follow(begin, told) {
      const open = () => jetstream.names();
      void followBucket(connection, open, begin, (entry) =>
        told({ name: nameOf(entry.key), value: isLive(entry) ? entry.json<NameValue>() : undefined }),
      );
    },
    entries: (nodeId) => run("cannot list names", (bucket) => list(bucket, nodeId), listDeadlineMs),
  };
}

async function claimIn(bucket: KV, name: string, value: NameValue): Promise<void> {
  // Twice: the owner found may be gone by the time it is looked at.
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await bucket.create(keyOf(name), JSON.stringify(value));
      return;
    } catch (error) {
      if (!isApiError(error, apiWrongLastSequence)) throw error;
    }
    const entry = await bucket.get(keyOf(name));
    if (!isLive(entry)) continue;
    const owner = entry.json<NameValue>();
    // The answer to an earlier claim of ours was lost.
    if (owner.containerId === value.containerId) return;
    throw inUse(name, owner.containerId);
  }
  throw new BerthError("UNAVAILABLE", `the name "${name}" is changing hands, try again`);
}

function inUse(name: string, containerId: string): BerthError {
  const message =
    `Conflict. The container name "/${name}" is already in use by container "${containerId}". ` +
    "You have to remove (or rename) that container to be able to reuse that name.";
  return new BerthError("NAME_IN_USE", message, { containerId });
}

async function releaseIn(bucket: KV, name: string, containerId: string): Promise<void> {
  const entry = await bucket.get(keyOf(name));
  if (!isLive(entry) || entry.json<NameValue>().containerId !== containerId) return;
  try {
    // A purge, not a delete: it leaves one small marker and no history.
    await bucket.purge(entry.key, { previousSeq: entry.revision });
  } catch (error) {
    // Changed meanwhile: then it is no longer this container's.
    if (!isApiError(error, apiWrongLastSequence)) throw error;
  }
}

/** One reader for all of them: to ask for each by itself takes a round trip a name. */
async function list(bucket: KV, nodeId: string | undefined): Promise<NameEntry[]> {
  const found: NameEntry[] = [];
  for await (const entry of await bucket.history()) {
    if (!isLive(entry)) continue;
    const value = entry.json<NameValue>();
    if (nodeId === undefined || value.nodeId === nodeId) found.push({ name: nameOf(entry.key), ...value });
  }
  return found;
}

function isLive(entry: KvEntry | null): entry is KvEntry {
  return entry !== null && entry.operation === "PUT";
}

/** Keys are NATS subjects, where dots have a meaning; names may hold dots anywhere but in front. */
function keyOf(name: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(name)) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  return name.replaceAll(".", "=");
}

const nameOf = (key: string): string => key.replaceAll("=", ".");
