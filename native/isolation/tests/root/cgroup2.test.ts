// The cgroup v2 lane as part of the tests: one boot, each step a test.

import { beforeAll, expect, test } from "vitest";
import { type LaneResult, runLane, stepNames } from "../cgroup2/lane.ts";

/** The machine's own limit; the first run also fetches packages. */
const MACHINE_TIMEOUT_MS = 300_000;
const SETUP_TIMEOUT_MS = 600_000;

const names = await stepNames();
let lane: LaneResult;

beforeAll(async () => {
  lane = await runLane({ timeoutMs: MACHINE_TIMEOUT_MS });
}, SETUP_TIMEOUT_MS);

test.each(names)("on a cgroup v2 kernel: %s", (name) => {
  const step = lane.steps.find((one) => one.name === name);
  expect(step, `the machine never began it:\n${lane.console.slice(-4000)}`).toBeDefined();
  expect(step?.status, step?.output).toBe(0);
});
