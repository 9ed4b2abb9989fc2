// Engine API calls while services die: each has an answer, or nobody can say whether it was carried out.
import { setTimeout as sleep } from "node:timers/promises";
import type { Api, ApiAnswer } from "../api.ts";

/** ms that an engine may take to answer again after a service was killed. */
export const patienceMs = 20_000;
export const retryEveryMs = 100;

/** The connection broke, or the engine said that a service is away: the call may have been carried out or not. */
const interruption = Symbol("interrupted");
export type Outcome = ApiAnswer | typeof interruption;

export const isInterrupted = (outcome: Outcome): outcome is typeof interruption => outcome === interruption;

/** One try. */
export async function attempt(api: Api, method: string, path: string, body?: unknown): Promise<Outcome> {
  try {
    const answer = await api.call(method, path, body, 60_000);
    return answer.status === 503 || answer.status === 504 ? interruption : answer;
  } catch {
    return interruption;
  }
}

/** Tries until there is an answer: for what may be asked twice. */
export async function insist(api: Api, method: string, path: string, body?: unknown): Promise<ApiAnswer> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const outcome = await attempt(api, method, path, body);
    if (!isInterrupted(outcome)) return outcome;
    if (Date.now() > deadline) throw new Error(`${method} ${path}: no answer within ${patienceMs} ms`);
    await sleep(retryEveryMs);
  }
}

/** The payload of a stream in Docker's frames, of one kind (1: stdout, 2: stderr). */
export function unframe(stream: Buffer, kind: 1 | 2): string {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 8 <= stream.length) {
    const length = stream.readUInt32BE(at + 4);
    if (stream[at] === kind) parts.push(stream.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  if (at !== stream.length) throw new Error(`a stream of frames ends within one, at byte ${stream.length}`);
  return Buffer.concat(parts).toString();
}
