// The short form of `npm run test:fuzz`: every endpoint with what no honest client sends.
import { expect, it } from "vitest";
import { hostile } from "../../src/hostile/hostile.ts";

it("answers hostile clients in kind, and is none the worse for it", async () => {
  const seed = 20_250_101;
  // The same work in every run; `npm run test:fuzz -- --seed N` tries others.
  console.log(`hostile: seed ${seed}`);
  const { statuses } = await hostile({ seed, requests: 1_200, drops: 1_000, floodBytes: 100_000_000 });
  expect(statuses.get(400) ?? 0).toBeGreaterThan(200);
  expect(statuses.get(404) ?? 0).toBeGreaterThan(100);
}, 240_000);
