// npm run test:faults [-- --rounds N] [--seed N] [--hold SECONDS] [--nats 1|3] [--only TEXT]
import { parseArgs } from "node:util";
import { strikeAtRandom } from "./rounds.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    seed: { type: "string" },
    hold: { type: "string", default: "15" },
    nats: { type: "string", default: "3" },
    only: { type: "string" },
    help: { type: "boolean" },
  },
});

if (values.help) {
  console.log(`Usage: npm run test:faults -- [--rounds N] [--seed N] [--hold SECONDS] [--nats 1|3] [--only TEXT]

Three hosts (network namespaces of this machine) are cut off, lose power, and have services killed, at random; after each fault every
container, name and line of a log must be there once, and right.

  npm run test:faults -- --rounds 5 --seed 42`);
} else {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  console.log(`seed ${seed}`);
  const nats = values.nats === "1" ? 1 : 3;
  await strikeAtRandom({
    rounds: Number(values.rounds),
    seed,
    holdMs: Number(values.hold) * 1000,
    nats,
    only: values.only,
    say: console.log,
  });
  console.log(`${values.rounds} rounds, none failed`);
}
