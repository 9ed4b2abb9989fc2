/**
 * Network calls for a test that keeps its own process out of its namespaces: runs by `nsenter --net=…`, takes a line of JSON
 * a call, `{"call":"createEndpoint","args":[…]}`, and answers `{"value":…}` or `{"error":{code, message}}`.
 */
import { closeSync } from "node:fs";
import { createInterface } from "node:readline";
import { net } from "../../ts/index.ts";

type Call = (...args: never[]) => unknown;
const calls = new Map<string, Call>([...Object.entries(net), ["close", closeSync], ["pid", () => process.pid]]);

for await (const line of createInterface({ input: process.stdin })) {
  const { call, args } = JSON.parse(line) as { call: string; args: never[] };
  let answer: object;
  try {
    answer = { value: await calls.get(call)?.(...args) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    answer = { error: { code, message } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
