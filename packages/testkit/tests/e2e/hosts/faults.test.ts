// The short form of `npm run test:faults`: hosts are cut off, lose power and have services killed.
import { expect, it } from "vitest";
import { strikeAtRandom } from "../../../src/faults/rounds.ts";

it("loses no container, no name and no line of a log", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  // Known before anything fails: `npm run test:faults -- --seed N` repeats the faults.
  console.log(`faults: seed ${seed}`);
  const said: string[] = [];
  await strikeAtRandom({ rounds: 3, seed, holdMs: 6_000, say: (line) => said.push(line) });
  expect(said).toHaveLength(3);
}, 400_000);
