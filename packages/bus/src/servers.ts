import { BerthError, errorMessage } from "@berth/errors";
import { type JetStreamManager, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import { credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { type ConnectionOptions, dial, sleep } from "./connection.ts";
import { hasAll, placeOf, type StreamPlace } from "./place.ts";

/** A server of the cluster's own NATS, as it says itself. */
export interface ServerState {
  name: string;
  /** Of the group that knows where streams are; undefined for a server on its own. */
  group?: { leader: string | undefined; peers: { name: string; current: boolean; offline: boolean }[] };
}

/** Files' contents: of a user of the system account, and of one who may do everything with streams. */
export interface Credentials {
  system: string;
  streams: string;
}

/**
 * What is done with NATS servers and with streams as a whole. `system` are credentials of a user of the system account. They are for
 * a moment, so each call has connections of its own.
 */
export interface NatsServers {
  /** The servers that have the events, by their names; none where a server is alone. @throws UNAVAILABLE */
  ofEvents(): Promise<StreamPlace>;
  /** What a server says that is asked alone. @throws UNAVAILABLE */
  state(url: string, system: string): Promise<ServerState>;
  /** Makes the others forget a server, which is away or soon will be: what it had of streams goes to others. @throws UNAVAILABLE */
  forget(urls: readonly string[], serverName: string, system: string): Promise<void>;
  /** Gives every stream so many replicas, and waits until they have everything, each on one of `among`. @throws UNAVAILABLE */
  replicate(
    urls: readonly string[],
    wish: { replicas: number; among: readonly string[] },
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<void>;
  /** Brings every stream to one server, and to no other. @throws UNAVAILABLE */
  gather(urls: readonly string[], serverName: string, credentials: Credentials, signal: AbortSignal): Promise<void>;
}

/** ms for one answer */
const answerMs = 2_000;
const pauseMs = 200;

type Options = Omit<ConnectionOptions, "log" | "signal">;

export function makeServers(options: Options, events: () => Promise<StreamInfo>): NatsServers {
  const as = async <T>(urls: readonly string[], credentials: string, work: (nats: NatsConnection) => Promise<T>) => {
    try {
      const authenticator = credsAuthenticator(new TextEncoder().encode(credentials));
      const { name, tls } = options;
      const nats = await dial({ url: urls.join(","), name: `${name} for its servers`, tls, authenticator });
      try {
        return await work(nats);
      } finally {
        await nats.close();
      }
    } catch (error) {
      if (error instanceof BerthError) throw error;
      throw new BerthError("UNAVAILABLE", `NATS does not do it: ${errorMessage(error)}`, {}, { cause: error });
    }
  };
  const asBoth = (
    urls: readonly string[],
    { streams, system }: Credentials,
    work: (nats: NatsConnection, watch: NatsConnection) => Promise<unknown>,
  ) =>
    as(urls, streams, (nats) =>
      as(urls, system, async (watch) => {
        await work(nats, watch);
      }),
    );
  return {
    ofEvents: async () => placeOf(await events()),
    state: (url, system) => as([url], system, readState),
    forget: (urls, serverName, system) =>
      as(urls, system, async (nats) => {
        const answer = await nats.request("$JS.API.SERVER.REMOVE", JSON.stringify({ peer: serverName }), {
          timeout: answerMs,
        });
        const { error } = answer.json<{ error?: { err_code?: number; description?: string } }>();
        if (error !== undefined && error.err_code !== apiNotMember) throw new Error(error.description ?? "refused");
      }),
    replicate: (urls, { replicas, among }, credentials, signal) =>
      asBoth(urls, credentials, async (nats, watch) => {
        const manager = await jetstreamManager(nats, { checkAPI: false, timeout: answerMs });
        const copy = async (name: string) => {
          await change(manager, name, replicas, signal);
          await until(signal, `copies of ${name}`, async () => {
            const info = await manager.streams.info(name);
            const { leader = "", followers } = placeOf(info);
            const isRight = followers.every((follower) => follower.current && among.includes(follower.name));
            if (!among.includes(leader) || followers.length !== replicas - 1 || !isRight) return false;
            return (await Promise.all(followers.map((follower) => hasAll(watch, follower.name, info)))).every(Boolean);
          });
        };
        await Promise.all((await streamNames(manager, signal)).map(copy));
      }),
    gather: (urls, serverName, credentials, signal) =>
      asBoth(urls, credentials, async (nats, watch) => {
        const manager = await jetstreamManager(nats, { checkAPI: false, timeout: answerMs });
        const bring = async (name: string) => {
          await lead(nats, watch, manager, name, serverName, signal);
          await change(manager, name, 1, signal);
          await until(signal, `${name} on one server`, async () => {
            const { leader, followers } = placeOf(await manager.streams.info(name));
            return leader === serverName && followers.length === 0;
          });
        };
        await Promise.all((await streamNames(manager, signal)).map(bring));
      }),
  };
}

/** JetStream's error codes (nats-server, server/errors.json). */
const apiNotMember = 10044;
const apiBadRequest = 10003;

async function readState(nats: NatsConnection): Promise<ServerState> {
  // Asked for by its own id, so that no other server of its cluster answers in its place.
  const { server_id: id = "", server_name: name = "" } = nats.info ?? {};
  const answer = await nats.request(`$SYS.REQ.SERVER.${id}.JSZ`, "{}", { timeout: answerMs });
  const { data } = answer.json<{
    data?: { meta_cluster?: { leader?: string; replicas?: { name: string; current?: boolean; offline?: boolean }[] } };
  }>();
  const group = data?.meta_cluster;
  if (group === undefined) return { name };
  const peers = (group.replicas ?? []).map((peer) => ({
    name: peer.name,
    current: peer.current ?? false,
    offline: peer.offline ?? false,
  }));
  return { name, group: { leader: group.leader || undefined, peers } };
}

/** All streams, buckets among them. While there is no leader nothing is told of them. */
async function streamNames(manager: JetStreamManager, signal: AbortSignal): Promise<string[]> {
  let names: string[] = [];
  await until(signal, "the list of streams", async () => {
    names = await Array.fromAsync(manager.streams.names());
    return true;
  });
  return names;
}

function change(manager: JetStreamManager, name: string, replicas: number, signal: AbortSignal): Promise<void> {
  return until(signal, `${replicas} copies of ${name}`, async () => {
    const { config } = await manager.streams.info(name);
    // Of several copies any may answer a direct question, one too that has not heard the newest.
    const allow_direct = config.allow_direct && replicas === 1;
    if (config.num_replicas !== replicas || config.allow_direct !== allow_direct)
      await manager.streams.update(name, { ...config, num_replicas: replicas, allow_direct });
    return true;
  });
}

/** The server that leads a stream keeps it when it gets fewer copies. */
function lead(
  nats: NatsConnection,
  watch: NatsConnection,
  manager: JetStreamManager,
  name: string,
  serverName: string,
  signal: AbortSignal,
): Promise<void> {
  return until(signal, `another leader of ${name}`, async () => {
    const info = await manager.streams.info(name);
    const { leader, followers } = placeOf(info);
    if (leader === serverName) return true;
    const follows = followers.some((follower) => follower.name === serverName && follower.current);
    if (follows && (await hasAll(watch, serverName, info))) await stepDown(nats, name, serverName);
    return false;
  });
}

/** Has another server lead a stream: the preferred one, or with servers before 2.11, which know no preference, any. */
async function stepDown(nats: NatsConnection, stream: string, preferred: string): Promise<void> {
  for (const wish of [JSON.stringify({ placement: { preferred } }), ""]) {
    const answer = await nats.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, wish, { timeout: answerMs });
    const { error } = answer.json<{ error?: { err_code?: number; description?: string } }>();
    if (error === undefined) return;
    if (error.err_code !== apiBadRequest || wish === "") throw new Error(error.description ?? "refused");
  }
}

/** Asks again, failures too, until it is so. @throws UNAVAILABLE with the last failure when the signal aborts first */
async function until(signal: AbortSignal, what: string, isSo: () => Promise<boolean>): Promise<void> {
  let last = "it takes too long";
  for (;;) {
    try {
      if (await isSo()) return;
      last = "it takes too long";
    } catch (error) {
      last = errorMessage(error);
    }
    if (signal.aborted) throw new BerthError("UNAVAILABLE", `streams can't be changed (${what}): ${last}`);
    await sleep(pauseMs, signal).catch(() => undefined);
  }
}
