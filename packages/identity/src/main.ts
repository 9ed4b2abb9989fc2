// The launcher's helper: run for a moment when a host opens itself, joins or renews, so that the launcher itself, which is there all
// the time, needs neither TLS nor X.509 in its memory. The task comes as JSON on stdin, the answer goes as JSON to stdout.
import { text } from "node:stream/consumers";
import { errorMessage, isBerthError } from "@berth/errors";
import { type HostDescription, joinHost, openHost, type Renewed, renewHost } from "./host.ts";

export type IdentityTask = { host: HostDescription } & (
  | { do: "open"; nats: string[]; ttlMs: number }
  | { do: "join"; token: string }
  | { do: "renew" }
);

export type IdentityAnswer = Renewed | { reason: string; message: string };

const task = JSON.parse(await text(process.stdin)) as IdentityTask;
let answer: IdentityAnswer;
try {
  answer = await carryOut(task);
} catch (error) {
  answer = { reason: isBerthError(error) ? error.reason : "INTERNAL", message: errorMessage(error) };
}
process.stdout.write(JSON.stringify(answer));

function carryOut(given: IdentityTask): Promise<Renewed> {
  if (given.do === "open") return openHost(given.host, given.nats, given.ttlMs);
  return given.do === "join" ? joinHost(given.host, given.token) : renewHost(given.host);
}
