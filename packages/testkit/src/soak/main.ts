// npm run soak [-- --minutes N] [--clients N] [--seed N]
import { parseArgs } from "node:util";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    clients: { type: "string", default: "8" },
    seed: { type: "string" },
    help: { type: "boolean" },
  },
});

if (values.help) {
  console.log(`Usage: npm run soak -- [--minutes N] [--clients N] [--seed N]

Clients create, start, exec into, copy to and from, read, stop, kill and remove containers at random, while services of the engine are
killed at random. Every answer is checked, and at the end nothing may be left or have grown.

  npm run soak -- --minutes 5 --seed 42`);
} else {
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  console.log(`seed ${seed}`);
  const report = await soak({
    seconds: Number(values.minutes) * 60,
    clients: Number(values.clients),
    seed,
    tell: console.log,
  });
  console.log(`${report.lives} containers lived; ${report.interrupted} calls were interrupted`);
  for (const [what, counts] of [
    ["asked", report.operations],
    ["killed", report.killed],
  ] as const) {
    console.log(`${what}: ${[...counts].map(([name, count]) => `${name} ${count}`).join(", ")}`);
  }
  console.log(`memory of the services: ${report.memory.map((bytes) => `${Math.round(bytes / 1e6)} MB`).join(" -> ")}`);
}
