import type { Store } from "@berth/store";
import { updateAccount } from "./account.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { type EventsQuery, type EventsRange, eventsRange, readEvents, type SequencedEvent } from "./events.ts";
import { eventsStream, JetStream, withinDeadline } from "./jetstream.ts";
import { makeNames, type Names } from "./names.ts";
import { makeNodeDirectory, type NodeDirectory } from "./node-directory.ts";
import { makeOutbox, type Outbox } from "./outbox.ts";
import { type Presence, PresenceBoard } from "./presence.ts";
import { makeRevocations, type Revocations } from "./revocations.ts";
import type { Instance, News, Role } from "./roles.ts";
import { makeServers, type NatsServers } from "./servers.ts";

/** ms to find out who has the events */
const serversMs = 2_000;
/** ms that a change waits for NATS: a server that is alone is back by then, or won't be; several take longer to agree on another leader. */
const patienceMs = 2_000;
const clusterPatienceMs = 10_000;

export type BusOptions = ConnectionOptions;

/** One connection to NATS a process, and all that goes over it. */
export interface Bus {
  readonly connected: boolean;
  /** Called with each change of `connected`; gives what ends it. */
  onConnected(listener: (connected: boolean) => void): () => void;
  /** Leaves: says bye for what was announced, stops the outboxes, sends what is under way, disconnects. */
  drain(): Promise<void>;

  /** @param news asked for at each beat, where the role has some */
  announce(instance: Instance, news?: () => News): Presence;
  /** Who is there now. While NATS is away: who was there last. */
  instances(role: Role): Instance[];
  onInstances(listener: () => void): () => void;
  /** Rejects with the signal's reason when that aborts first. */
  waitFor(role: Role, options?: { signal?: AbortSignal | undefined }): Promise<Instance>;

  /** The outbox kept in a service's store; one a store. */
  outbox(store: Store): Outbox;
  events(query: EventsQuery): AsyncIterable<SequencedEvent>;
  /** @throws UNAVAILABLE */
  eventsRange(): Promise<EventsRange>;
  readonly names: Names;
  /** Nodes that were shut out. Read from NATS from the first question on. */
  readonly revocations: Revocations;
  /** Gives every NATS server a new JWT of the account, as the user of the system account that `credentials` are for. */
  updateAccount(jwt: string, credentials: string): Promise<void>;
  /** NATS' own servers, where they are the cluster's. */
  readonly servers: NatsServers;
  readonly nodes: NodeDirectory;
}

/**
 * Connects, waiting for the server as long as it takes (or until the signal aborts); from then on reconnects for ever.
 * Throws UNAUTHENTICATED when the server refuses user or password.
 */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const connection = await Connection.open(options);
  const jetstream = new JetStream(connection);
  connection.onChange((up) => {
    if (!up) jetstream.forget();
  });
  const board = new PresenceBoard(connection);
  // Who is cut off sees nobody, and is one of several all the same.
  let isCluster = false;
  board.onInstances(() => {
    isCluster ||= board.instances("supervisor").length > 1;
  });
  followServers(connection, board);
  const patience = () => (isCluster ? clusterPatienceMs : patienceMs);
  const names = makeNames(connection, jetstream, patience);
  const revocations = makeRevocations(connection, jetstream);
  const outboxes: Outbox[] = [];
  let draining: Promise<void> | undefined;

  const leave = async () => {
    board.close();
    await Promise.all(outboxes.map((outbox) => outbox.close()));
    // A drain waits for the server, for ever if that goes away meanwhile; with none there, there is nothing to wait for.
    if (connection.up) await Promise.race([connection.nats.drain().catch(() => undefined), untilDown(connection)]);
    await connection.nats.close();
  };

  return {
    get connected() {
      return connection.up;
    },
    onConnected: (listener) => connection.onChange(listener),
    drain() {
      draining ??= leave();
      return draining;
    },
    announce: (instance, news) => board.announce(instance, news),
    instances: (role) => board.instances(role),
    onInstances: (listener) => board.onInstances(listener),
    waitFor: (role, { signal } = {}) => board.waitFor(role, signal),
    outbox(store) {
      const outbox = makeOutbox(connection, jetstream, names, store);
      outboxes.push(outbox);
      return outbox;
    },
    events: (query) => readEvents(connection, jetstream, query),
    eventsRange: () => eventsRange(connection, jetstream),
    names,
    revocations,
    updateAccount: (jwt, credentials) => updateAccount(options, jwt, credentials),
    servers: makeServers(options, () =>
      withinDeadline(connection, serversMs, "where events are kept is not known", async () =>
        (await jetstream.manager()).streams.info(eventsStream),
      ),
    ),
    nodes: makeNodeDirectory(connection, jetstream, patience),
  };
}

/**
 * A server whose peers are away tells its clients that there are none, and the client believes it: when that server went too, it would be
 * looked for alone, for ever. So the servers of the newest plan are kept. While a server that was alone gets others, it alone has the streams.
 */
function followServers(connection: Connection, board: PresenceBoard): void {
  let known = 0;
  board.onInstances(() => {
    for (const { nats } of board.instances("authority")) {
      if (nats === undefined || nats.version <= known || nats.growth !== undefined) continue;
      known = nats.version;
      connection.nats.setServers(nats.servers.map(({ url }) => url));
    }
  });
}

function untilDown(connection: Connection): Promise<void> {
  return new Promise((resolve) => {
    const stop = connection.onChange((up) => {
      if (up) return;
      stop();
      resolve();
    });
  });
}
