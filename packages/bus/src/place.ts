// Which servers have a stream, and whether they have all of it.
import { BerthError } from "@berth/errors";
import type { StreamInfo, StreamState } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

const answerMs = 2_000;

/** Where a stream is. */
export interface StreamPlace {
  leader: string | undefined;
  followers: { name: string; current: boolean; offline: boolean }[];
}

export function placeOf({ cluster }: StreamInfo): StreamPlace {
  const followers = (cluster?.replicas ?? []).map(({ name, current, offline }) => ({
    name,
    current,
    offline: offline ?? false,
  }));
  return { leader: cluster?.leader || undefined, followers };
}

interface ServerStreams {
  data?: { account_details?: { stream_detail?: { name: string; state: StreamState }[] }[] };
  error?: { description: string };
}

/**
 * Whether a server has what a stream's leader had when it gave `info`, by the server's own word: the leader calls a copy current
 * before that has begun to fetch. A leader that steps down then leaves it without, and leads again itself after seconds.
 * @param system of a user of the system account @throws UNAVAILABLE
 */
export async function hasAll(system: NatsConnection, server: string, { config, state }: StreamInfo): Promise<boolean> {
  const wish = { server_name: server, exact_match: true, accounts: true, streams: true };
  const subject = "$SYS.REQ.SERVER.PING.JSZ";
  const answer = await system.request(subject, JSON.stringify(wish), { timeout: answerMs });
  const { data, error } = answer.json<ServerStreams>();
  if (error !== undefined)
    throw new BerthError("UNAVAILABLE", `${server} does not say what it has: ${error.description}`);
  const streams = data?.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
  const has = streams.find((stream) => stream.name === config.name)?.state;
  // It fetches in order.
  return has !== undefined && has.last_seq >= state.last_seq;
}
