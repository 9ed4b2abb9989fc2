// The short form of `npm run soak`: random work by clients while services die.
import { expect, it } from "vitest";
import { soak } from "../../src/soak/soak.ts";

it("gives no wrong answer, loses nothing and leaves nothing while services die", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  // Known before anything fails: `npm run soak -- --seed N` repeats the work.
  console.log(`soak: seed ${seed}`);
  const report = await soak({ seconds: 25, clients: 4, seed });
  expect(report.lives).toBeGreaterThan(4);
  expect([...report.killed.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1);
}, 240_000);
