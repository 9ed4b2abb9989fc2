// The short form of `npm run test:faults`: hosts are cut off, lose power and have services killed, NATS among them.
import { expect, it } from "vitest";
import { strikeAtRandom } from "../../../src/faults/rounds.ts";

it("loses no container, no name and no line of a log", async () => {
  // The same three faults each time; `npm run test:faults` strikes at random.
  const said: string[] = [];
  await strikeAtRandom({ rounds: 3, seed: 7, holdMs: 6_000, nats: 3, say: (line) => said.push(line) });
  console.log(said.join("\n"));
  expect(said).toHaveLength(3);
}, 400_000);
