// The short form of `npm run test:faults`: hosts are cut off, lose power and have services killed.
import { expect, it } from "vitest";
import { strikeAtRandom } from "../../../src/faults/rounds.ts";

it("loses no container, no name and no line of a log", async () => {
  // One host cut off, the first one without power, a supervisor killed. `npm run test:faults` picks at random.
  const seed = 7;
  const said: string[] = [];
  await strikeAtRandom({ rounds: 3, seed, holdMs: 6_000, say: (line) => said.push(line) });
  expect(said).toHaveLength(3);
}, 400_000);
