import { BerthError } from "@berth/errors";
import type { KV, KvEntry } from "@nats-io/kv";
import type { Connection } from "./connection.ts";
import { followBucket } from "./follow.ts";
import { apiWrongLastSequence, isApiError, type JetStream, withinDeadline } from "./jetstream.ts";

/** What a node says of itself each time it starts. */
export interface NodeFacts {
  nodeId: string;
  name: string;
  cpus: number;
  /** bytes */
  memory: number;
  version: string;
  /** Names of the OCI runtimes that it has. */
  runtimes: string[];
}

/** What all hosts agree on about one node that runs containers. */
export interface NodeRecord extends NodeFacts {
  labels: Record<string, string>;
  /** "drain": it is given no new container. */
  availability: "active" | "drain";
  /** RFC 3339. */
  joinedAt: string;
  /** RFC 3339: when it was last heard of; absent while it is there. */
  awaySince?: string;
}

/** The nodes there are, those that are away included. Calls throw UNAVAILABLE when NATS is away for `patience` ms. */
export interface NodeDirectory {
  /**
   * Enters a node, or what is new about it; labels and availability stay as they are known.
   * @param labels of a node that is entered for the first time
   * @throws NAME_IN_USE when another node has its name
   */
  register(facts: NodeFacts, labels?: Record<string, string>): Promise<NodeRecord>;
  /** Edits a node's record, however many do so at once. @throws NOT_FOUND; what `edit` throws */
  change(nodeId: string, edit: (record: NodeRecord) => NodeRecord): Promise<NodeRecord>;
  /** Forgets a node; its name is free. */
  remove(nodeId: string): Promise<void>;
  /** As NATS has them now, by name. */
  read(): Promise<NodeRecord[]>;
  /** A copy that is kept up to date from the first call on until the connection is drained; `changed` is told of each difference. */
  follow(changed: (nodes: readonly NodeRecord[]) => void): void;
}

/** Of changes that others made at the same time. */
const maxAttempts = 8;

export function makeNodeDirectory(connection: Connection, jetstream: JetStream, patience: () => number): NodeDirectory {
  const run = <T>(what: string, work: (bucket: KV) => Promise<T>) =>
    withinDeadline(connection, patience(), what, async () => work(await jetstream.nodes()));

  return {
    register: (facts, labels = {}) =>
      run(`cannot register node "${facts.name}"`, (kv) => registerIn(kv, facts, labels)),
    change: (nodeId, edit) => run("cannot change a node", (kv) => changeIn(kv, nodeId, edit)),
    remove: (nodeId) =>
      run("cannot remove a node", async (kv) => {
        const found = await find(kv, nodeId);
        if (found !== undefined) await kv.purge(found.entry.key, { previousSeq: found.entry.revision });
      }),
    read: () => run("cannot list nodes", async (kv) => sorted((await entries(kv)).map(({ record }) => record))),
    follow(changed) {
      const nodes = new Map<string, NodeRecord>();
      void followBucket(
        connection,
        () => jetstream.nodes(),
        () => nodes.clear(),
        (entry) => {
          const record = recordOf(entry);
          if (record === undefined) nodes.delete(entry.key);
          else nodes.set(entry.key, record);
          // Not before all is read that was there.
          if (entry.delta === 0) changed(sorted([...nodes.values()]));
        },
      );
    },
  };
}

async function registerIn(bucket: KV, facts: NodeFacts, labels: Record<string, string>): Promise<NodeRecord> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const all = await entries(bucket);
    const holder = all.find(({ record }) => record.name === facts.name && record.nodeId !== facts.nodeId);
    if (holder !== undefined) throw nameTaken(facts.name, holder.record);
    const known = all.find(({ record }) => record.nodeId === facts.nodeId);
    const { awaySince: _, ...kept }: Omit<NodeRecord, keyof NodeFacts> = known?.record ?? {
      labels,
      availability: "active",
      joinedAt: new Date().toISOString(),
    };
    const record: NodeRecord = { ...kept, ...facts };
    try {
      const revision = await put(bucket, record, known?.entry.revision);
      await standBack(bucket, facts, revision);
      return record;
    } catch (error) {
      if (!isApiError(error, apiWrongLastSequence)) throw error;
    }
  }
  throw busy(facts.name);
}

function put(bucket: KV, record: NodeRecord, revision: number | undefined): Promise<number> {
  const text = JSON.stringify(record);
  return revision === undefined ? bucket.create(record.nodeId, text) : bucket.update(record.nodeId, text, revision);
}

/** Of several that took a name at the same moment the first one keeps it. @throws NAME_IN_USE */
async function standBack(bucket: KV, { nodeId, name }: NodeFacts, revision: number): Promise<void> {
  const first = (await entries(bucket)).find(
    ({ entry, record }) => record.name === name && record.nodeId !== nodeId && entry.revision < revision,
  );
  if (first === undefined) return;
  await bucket.purge(nodeId, { previousSeq: revision });
  throw nameTaken(name, first.record);
}

async function changeIn(bucket: KV, nodeId: string, edit: (record: NodeRecord) => NodeRecord): Promise<NodeRecord> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const found = await find(bucket, nodeId);
    if (found === undefined) throw new BerthError("NOT_FOUND", `No such node: ${nodeId}`);
    const changed = edit(found.record);
    if (changed === found.record) return changed;
    try {
      await bucket.update(found.entry.key, JSON.stringify(changed), found.entry.revision);
      return changed;
    } catch (error) {
      if (!isApiError(error, apiWrongLastSequence)) throw error;
    }
  }
  throw busy(nodeId);
}

interface Entered {
  entry: KvEntry;
  record: NodeRecord;
}

/** There are few nodes: one reader for all of them. */
async function entries(bucket: KV): Promise<Entered[]> {
  const found: Entered[] = [];
  for await (const entry of await bucket.history()) {
    const record = recordOf(entry);
    if (record !== undefined) found.push({ entry, record });
  }
  return found;
}

async function find(bucket: KV, nodeId: string): Promise<Entered | undefined> {
  return (await entries(bucket)).find(({ record }) => record.nodeId === nodeId);
}

function recordOf(entry: KvEntry): NodeRecord | undefined {
  if (entry.operation !== "PUT") return undefined;
  try {
    return entry.json<NodeRecord>();
  } catch {
    return undefined;
  }
}

const sorted = (nodes: NodeRecord[]): NodeRecord[] => nodes.sort((a, b) => (a.name < b.name ? -1 : 1));

function nameTaken(name: string, { nodeId, awaySince }: NodeRecord): BerthError {
  const away = awaySince === undefined ? "" : `, which is away since ${awaySince}`;
  return new BerthError(
    "NAME_IN_USE",
    `the name "${name}" belongs to node ${nodeId}${away}: give this one another (BERTH_NODE_NAME), or remove that one (berth node rm ${name})`,
    { nodeId },
  );
}

function busy(what: string): BerthError {
  return new BerthError("UNAVAILABLE", `node ${what} is being changed by others all the time, try again`);
}
