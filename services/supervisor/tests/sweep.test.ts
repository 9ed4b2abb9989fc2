import { expect, test } from "vitest";
import { untilDone } from "../src/domain/sweep.ts";

test("what another service holds is swept once that is reached, however often it was away", async () => {
  const told: unknown[] = [];
  let tries = 0;
  const step = () => (++tries < 3 ? Promise.reject(new Error(`away ${tries}`)) : Promise.resolve());
  await untilDone(step, new AbortController().signal, (error) => told.push(error));
  expect(tries).toBe(3);
  expect(told).toEqual([new Error("away 1")]);
});

test("a service that ends does not go on sweeping", async () => {
  const ending = new AbortController();
  let tries = 0;
  const step = () => {
    tries++;
    ending.abort();
    return Promise.reject(new Error("away"));
  };
  await untilDone(step, ending.signal, () => expect.unreachable());
  expect(tries).toBe(1);
});
