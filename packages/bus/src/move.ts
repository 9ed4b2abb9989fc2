// Streams on their way from a server that was alone into a cluster, by JetStream's own snapshots: sequences, times and ids stay.
import { BerthError } from "@berth/errors";
import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { createInbox, type NatsConnection } from "@nats-io/transport-node";
import { sleep } from "./connection.ts";
import { hasAll, placeOf } from "./place.ts";

const answerMs = 5_000;
/** A large stream is written and verified before the last answer. ms */
const restoreMs = 60_000;
const chunkBytes = 128 * 1024;
const pauseMs = 100;
const settleMs = 30_000;

/**
 * Moves every stream. Nobody may write at `from`; what a failed attempt left at `to` is replaced. @throws UNAVAILABLE
 * @param watch at `to`, of the system account: may ask each server what it has
 * @param replicas at `to`; more than one, as ids of messages are known again only to a copy that was not restored itself
 */
export async function moveStreams(
  from: NatsConnection,
  to: NatsConnection,
  watch: NatsConnection,
  replicas: number,
): Promise<string[]> {
  const source = await jetstreamManager(from, { checkAPI: false, timeout: answerMs });
  const target = await jetstreamManager(to, { checkAPI: false, timeout: answerMs });
  await settled("the new servers have no leader", async () => (await target.getAccountInfo()) !== undefined);
  const names = await Array.fromAsync(source.streams.names());
  for (const old of await Array.fromAsync(target.streams.names())) await target.streams.delete(old);
  // Nobody can do anything meanwhile: all at once.
  const move = async (name: string) => {
    await moveStream(from, to, name, replicas);
    await verify(source, target, name);
    await handOver(to, target, watch, name);
    await verify(source, target, name);
  };
  await Promise.all(names.map(move));
  return names;
}

interface Snapshot {
  config: StreamConfig;
  state: unknown;
  error?: { description: string };
}

async function moveStream(from: NatsConnection, to: NatsConnection, name: string, replicas: number): Promise<void> {
  const inbox = createInbox();
  const chunks = from.subscribe(inbox);
  try {
    const wish = JSON.stringify({ deliver_subject: inbox, no_consumers: true, chunk_size: chunkBytes });
    const head = await ask<Snapshot>(from, `$JS.API.STREAM.SNAPSHOT.${name}`, wish);
    // Of several copies any may answer a direct question, one too that has not heard the newest: a name that was just taken would be free.
    const config = { ...head.config, num_replicas: replicas, allow_direct: false };
    const restore = await ask<{ deliver_subject: string }>(
      to,
      `$JS.API.STREAM.RESTORE.${name}`,
      JSON.stringify({ config, state: head.state }),
    );
    for await (const chunk of chunks) {
      if (chunk.data.length === 0) {
        const { code = 0, description } = chunk.headers ?? {};
        if (code >= 400) throw new BerthError("UNAVAILABLE", `a snapshot of ${name} ended early: ${description}`);
        break;
      }
      await to.request(restore.deliver_subject, chunk.data, { timeout: restoreMs });
      chunk.respond();
    }
    await ask(to, restore.deliver_subject, "", restoreMs);
  } finally {
    chunks.unsubscribe();
  }
}

async function ask<T>(nats: NatsConnection, subject: string, body: string, timeout = answerMs): Promise<T> {
  const answer = (await nats.request(subject, body, { timeout })).json<T & { error?: { description: string } }>();
  if (answer.error !== undefined) throw new BerthError("UNAVAILABLE", `${subject}: ${answer.error.description}`);
  return answer;
}

/** @throws DATA_LOSS when the copy is not the same */
async function verify(source: JetStreamManager, target: JetStreamManager, name: string): Promise<void> {
  const { state: had } = await source.streams.info(name);
  await settled(`${name} has no leader`, async () => (await target.streams.info(name)).cluster?.leader !== undefined);
  const { state: has } = await target.streams.info(name);
  // Where there is no message, there is no first one either.
  const isSame = had.messages === 0 || had.first_seq === has.first_seq;
  if (isSame && had.messages === has.messages && had.last_seq === has.last_seq) return;
  const told = ({ messages, first_seq, last_seq }: typeof had) => `${messages} messages (${first_seq} to ${last_seq})`;
  throw new BerthError("DATA_LOSS", `${name} had ${told(had)}, and would have ${told(has)}`);
}

/**
 * A server that restored a stream does not know the ids of its messages (nats-server 2.10 to 2.15), and would take one again that is
 * published twice; those that copied from it do. One of them leads from here on.
 */
async function handOver(
  to: NatsConnection,
  target: JetStreamManager,
  watch: NatsConnection,
  name: string,
): Promise<void> {
  await settled(`copies of ${name} are not complete`, async () => {
    const info = await target.streams.info(name);
    const { followers } = placeOf(info);
    const have = await Promise.all(followers.map(({ name: server }) => hasAll(watch, server, info)));
    return have.length > 0 && have.every(Boolean);
  });
  const leader = async () => placeOf(await target.streams.info(name)).leader;
  const old = await leader();
  await ask(to, `$JS.API.STREAM.LEADER.STEPDOWN.${name}`, "");
  await settled(`${name} keeps its leader`, async () => {
    const now = await leader();
    return now !== undefined && now !== old;
  });
}

async function settled(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + settleMs;
  for (;;) {
    if (await isSo().catch(() => false)) return;
    if (performance.now() > deadline) throw new BerthError("UNAVAILABLE", `${what} after ${settleMs / 1000} s`);
    await sleep(pauseMs);
  }
}
