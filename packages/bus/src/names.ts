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
  /** The node that it was moved from and may yet go back to: that one keeps its own copy until this is gone. */
  movedFrom?: string;
}

/** A container's name as it goes from one node to another. */
export interface Transfer {
  containerId: string;
  from: string;
  to: string;
  /** Of the entry, as hold() gave it: whoever held it since has the last word. */
  revision: number;
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

/**
 * Container names, unique over all hosts. When NATS is away, or its servers elect a leader, changes throw UNAVAILABLE after `patience` ms,
 * lookups after 2 s: the nodes themselves know as well.
 */
export interface Names {
  /** Takes a name. Claiming again for the same container is no error. Throws NAME_IN_USE with details {containerId}. */
  claim(name: string, value: NameValue): Promise<void>;
  /** Gives a name back if the container still has it; otherwise does nothing. */
  release(name: string, containerId: string): Promise<void>;
  lookup(name: string): Promise<NameValue | undefined>;
  /**
   * Writes a container's entry anew, as this node's for good, and gives the new revision: a transfer that was told of an earlier one
   * can't be carried out any more, however late it comes. @throws CONFLICT with details {nodeId, movedFrom?} when it is another node's, NOT_FOUND
   */
  hold(name: string, containerId: string, nodeId: string): Promise<number>;
  /**
   * Makes the name another node's, with `movedFrom` until that one holds it. Again after a lost answer it is no error.
   * @throws CONFLICT when it was held since, or has gone elsewhere; NOT_FOUND
   */
  transfer(name: string, transfer: Transfer): Promise<void>;
  /** Gives the name back to the node that it was moved from. Again is no error. @throws CONFLICT when it was held here since; NOT_FOUND */
  giveBack(name: string, containerId: string, nodeId: string): Promise<void>;
  /**
   * Tells of all names and then of each change, until the connection is drained; after an outage of all names again, behind
   * a `begin`. `entry` has no value for a name that was given back.
   */
  follow(begin: () => void, told: (entry: { name: string; value: NameValue | undefined }) => void): void;
  /** Every name, of one node when given: how a node finds names that a crash left without a record. */
  entries(nodeId?: string): Promise<NameEntry[]>;
}

const lookupMs = 2_000;
/** ms for all names there are, of all nodes */
const listDeadlineMs = 60_000;

export function makeNames(connection: Connection, jetstream: JetStream, patience: () => number): Names {
  const run = <T>(what: string, work: (bucket: KV) => Promise<T>, ms = patience()) =>
    withinDeadline(connection, ms, what, async () => work(await jetstream.names()));

  return {
    claim: (name, value) => run(`cannot claim the name "${name}"`, (bucket) => claimIn(bucket, name, value)),
    release: (name, containerId) =>
      run(`cannot release the name "${name}"`, (bucket) => releaseIn(bucket, name, containerId)),
    lookup: (name) => run(`cannot look up the name "${name}"`, (bucket) => lookUpIn(bucket, name), lookupMs),
    hold: (name, containerId, nodeId) =>
      run(`cannot hold the name "${name}"`, (bucket) =>
        replaceIn(bucket, name, containerId, ({ value: { movedFrom: _, ...value } }) =>
          value.nodeId === nodeId ? value : undefined,
        ),
      ),
    transfer: (name, { containerId, from, to, revision }) =>
      run(`cannot hand over the name "${name}"`, async (bucket) => {
        await replaceIn(bucket, name, containerId, ({ value, revision: current }) => {
          if (value.nodeId === to && value.movedFrom === from) return value;
          const isCurrent = value.nodeId === from && current === revision;
          return isCurrent ? { ...value, nodeId: to, movedFrom: from } : undefined;
        });
      }),
    giveBack: (name, containerId, nodeId) =>
      run(`cannot give back the name "${name}"`, async (bucket) => {
        await replaceIn(bucket, name, containerId, ({ value }) => {
          const { movedFrom, ...rest } = value;
          if (value.nodeId !== nodeId) return value;
          return movedFrom === undefined ? undefined : { ...rest, nodeId: movedFrom };
        });
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

async function lookUpIn(bucket: KV, name: string): Promise<NameValue | undefined> {
  const entry = await bucket.get(keyOf(name));
  return isLive(entry) ? entry.json<NameValue>() : undefined;
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

interface Owned {
  value: NameValue;
  revision: number;
}

/** Of changes that others made at the same time. */
const maxAttempts = 4;

/**
 * Writes what `edit` makes of a container's entry, if nobody else does meanwhile, and gives its revision. What comes back as it was
 * is not written; undefined is a refusal.
 */
async function replaceIn(
  bucket: KV,
  name: string,
  containerId: string,
  edit: (entry: Owned) => NameValue | undefined,
): Promise<number> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const entry = await bucket.get(keyOf(name));
    const value = isLive(entry) ? entry.json<NameValue>() : undefined;
    if (!isLive(entry) || value?.containerId !== containerId)
      throw new BerthError("NOT_FOUND", `the name "${name}" is not container ${containerId}'s`);
    const changed = edit({ value, revision: entry.revision });
    if (changed === undefined) throw changedHands(name, value);
    if (changed === value) return entry.revision;
    try {
      return await bucket.update(entry.key, JSON.stringify(changed), entry.revision);
    } catch (error) {
      if (!isApiError(error, apiWrongLastSequence)) throw error;
    }
  }
  throw new BerthError("UNAVAILABLE", `the name "${name}" is changing hands, try again`);
}

function changedHands(name: string, { nodeId, movedFrom }: NameValue): BerthError {
  const details = { nodeId, ...(movedFrom !== undefined && { movedFrom }) };
  return new BerthError("CONFLICT", `the name "${name}" is node ${nodeId}'s now, or was held by it since`, details);
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
