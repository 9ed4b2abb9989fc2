// npm run test:fuzz [-- --requests N] [--seed N]
import { parseArgs } from "node:util";
import { hostile } from "./hostile.ts";

const { values } = parseArgs({
  options: { requests: { type: "string", default: "50000" }, seed: { type: "string" } },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
console.log(`seed ${seed}`);
const report = await hostile({ seed, requests: Number(values.requests), drops: 1_000, floodBytes: 100_000_000 });
console.log(
  [...report.statuses]
    .sort(([a], [b]) => a - b)
    .map(([status, count]) => `${status}: ${count}`)
    .join(", "),
);
console.log(`memory of the gateway: ${report.memory.map((bytes) => `${Math.round(bytes / 1e6)} MB`).join(" -> ")}`);
