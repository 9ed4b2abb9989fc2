// The launcher's helper for a server that gets others: run for a moment, as the launcher itself has no NATS client in its memory. The
// task comes as JSON on stdin, the answer goes as JSON to stdout.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { errorMessage } from "@berth/errors";
import { identityIn } from "@berth/identity/uri";
import { credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { dial } from "./connection.ts";
import { moveStreams } from "./move.ts";

export interface MoveTask {
  /** Left out: only see whether the new servers are there. */
  from?: string;
  to: string[];
  /** Of one who may do everything with streams. */
  credsFile: string;
  /** Of one who may ask each server what it has. */
  watchCredsFile: string;
  caFile: string;
  identityFile: string;
}

export type MoveAnswer = { moved: string[] } | { message: string };

/** Of those that a stream is moved to: the server it comes from is the third. */
const replicas = 2;

const task = JSON.parse(await text(process.stdin)) as MoveTask;
let answer: MoveAnswer;
try {
  answer = { moved: await carryOut(task) };
} catch (error) {
  answer = { message: errorMessage(error) };
}
process.stdout.write(JSON.stringify(answer));

async function carryOut({ from, to, credsFile, watchCredsFile, ...tls }: MoveTask): Promise<string[]> {
  await using open = new AsyncDisposableStack();
  const connect = async (urls: string, credentials: string) =>
    open.adopt(await connection(urls, credentials, tls), (nats) => nats.close());
  const target = await connect(to.join(","), credsFile);
  if (from === undefined) return [];
  const watch = await connect(to.join(","), watchCredsFile);
  return await moveStreams(await connect(from, credsFile), target, watch, replicas);
}

function connection(
  url: string,
  credsFile: string,
  { caFile, identityFile }: Pick<MoveTask, "caFile" | "identityFile">,
): Promise<NatsConnection> {
  const check = (names: string | undefined) =>
    identityIn(names)?.role === "nats" ? undefined : new Error(`the server is no NATS of this cluster, but ${names}`);
  const authenticator = credsAuthenticator(readFileSync(credsFile));
  return dial({ url, name: "move", tls: { caFile, identityFile, check }, authenticator });
}
