import { GrpcCode, isBerthError } from "@berth/errors";
import { type Bed, openBed } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Asked, ask, contract } from "./contract.ts";

let bed: Bed;
let image: string;
const places = ["a node", "the gateway"] as const;
const asked = new Map<string, Asked>();
/** What each step came to, by place. */
const outcomes = new Map<string, Record<string, unknown>>();

beforeAll(async () => {
  bed = await openBed();
  image = await bed.pull("busybox");
  const { runDir } = bed.engine;
  asked.set(
    "a node",
    ask((service) => `unix:${runDir}/${service}.sock`),
  );
  asked.set(
    "the gateway",
    ask(() => `unix:${runDir}/gateway.sock`),
  );
}, 300_000);

afterAll(async () => {
  for (const one of asked.values()) one.close();
  await bed?.close();
}, 120_000);

describe.each(places)("%s", (place) => {
  // The image's name is known when the bed stands; the steps are known before.
  it.each(contract("").map(({ does }, index) => [does, index] as const))("%s", async (does, index) => {
    const step = contract(image)[index];
    if (step === undefined) throw new Error("no such step");
    const outcome = await run(() => step.run(asked.get(place) as Asked));
    outcomes.set(place, { ...outcomes.get(place), [does]: outcome });
    expect(outcome).toMatchObject(step.fails === undefined ? { answer: {} } : { reason: step.fails });
  });
});

it("nobody can tell the gateway from a node", () => {
  expect(Object.keys(outcomes.get("a node") ?? {})).toHaveLength(contract("").length);
  expect(outcomes.get("the gateway")).toEqual(outcomes.get("a node"));
});

/** The answer, or what of a failure its caller sees. */
async function run(step: () => Promise<unknown>): Promise<object> {
  try {
    return { answer: comparable({ value: await step() }) };
  } catch (error) {
    if (!isBerthError(error)) throw error;
    const { reason, code, message, details } = error;
    expect(Object.values(GrpcCode)).toContain(code);
    return comparable({ reason, code, message, details }) as object;
  }
}

/** What differs from container to container, and from moment to moment. */
const own = new Set([
  "seconds",
  "nanos",
  "pid",
  "restartCount",
  "macAddress",
  "ipAddress",
  "lastExit",
  "createdAt",
  "upperDir",
]);

function comparable(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) => (own.has(key) ? undefined : inner));
  return JSON.parse(text.replaceAll(/[0-9a-f]{64}/g, "ID").replaceAll(/[0-9a-f]{12}/g, "SHORT"));
}
