import { type Bed, openBed } from "@berth/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Asked, ask, contract } from "./contract.ts";
import { expectedOf, outcomeOf } from "./outcomes.ts";

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
    const outcome = await outcomeOf(step, asked.get(place) as Asked);
    outcomes.set(place, { ...outcomes.get(place), [does]: outcome });
    expect(outcome).toMatchObject(expectedOf(step));
  });
});

it("nobody can tell the gateway from a node", () => {
  expect(Object.keys(outcomes.get("a node") ?? {})).toHaveLength(contract("").length);
  expect(outcomes.get("the gateway")).toEqual(outcomes.get("a node"));
});
