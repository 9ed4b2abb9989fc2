import { expect, test } from "vitest";
import { ProbeOutput } from "../src/domain/health/output.ts";
import { goDuration, healthPlan, judged, nextDelay } from "../src/domain/health/plan.ts";
import type { Health, Healthcheck } from "../src/domain/model.ts";
import { makeSpec } from "./support.ts";

const second = 1_000_000_000;

function planOf(healthcheck: Partial<Healthcheck> | undefined, shell: string[] = []) {
  const { config } = makeSpec();
  const none = { test: [], interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };
  return healthPlan({ ...config, shell, healthcheck: healthcheck && { ...none, ...healthcheck } });
}

test("the kinds of check, and Docker's defaults", () => {
  const defaults = { intervalMs: 30_000, timeoutMs: 30_000, startPeriodMs: 0, startIntervalMs: 5_000, retries: 3 };
  expect(planOf({ test: ["CMD", "a", "b"] })).toEqual({ command: ["a", "b"], ...defaults });
  expect(planOf({ test: ["CMD-SHELL", "a b"] })?.command).toEqual(["/bin/sh", "-c", "a b"]);
  expect(planOf({ test: ["CMD-SHELL", "a b"] }, ["/bin/bash", "-ec"])?.command).toEqual(["/bin/bash", "-ec", "a b"]);
  for (const test of [[], ["NONE"], ["CMD"], ["CURL", "x"]]) expect(planOf({ test })).toBeUndefined();
  expect(planOf(undefined)).toBeUndefined();
  const own = planOf({
    test: ["CMD", "a"],
    interval: second / 2,
    timeout: 1_000_000,
    startPeriod: second,
    startInterval: 2 * second,
    retries: 1,
  });
  expect(own).toMatchObject({ intervalMs: 500, timeoutMs: 1, startPeriodMs: 1000, startIntervalMs: 2000, retries: 1 });
});

test("the start interval holds while it starts within its start period", () => {
  const plan = planOf({ test: ["CMD", "a"], startPeriod: 10 * second });
  if (!plan) throw new Error("no plan");
  expect(nextDelay(plan, "starting", 9_999)).toBe(5_000);
  expect(nextDelay(plan, "starting", 10_000)).toBe(30_000);
  expect(nextDelay(plan, "healthy", 1)).toBe(30_000);
});

test("without a start period no start interval holds, though the start seem yet to come by our clock", () => {
  const plan = planOf({ test: ["CMD", "a"] });
  if (!plan) throw new Error("no plan");
  expect(nextDelay(plan, "starting", -0.4)).toBe(30_000);
  const failed = { start: "", end: "", exitCode: 1, output: "" };
  expect(judged({ status: "starting", failingStreak: 0, log: [] }, plan, failed, -0.4).failingStreak).toBe(1);
});

test("what a result makes of the health", () => {
  const plan = { retries: 2, startPeriodMs: 1000 };
  const result = (exitCode: number, output = "") => ({ start: "", end: "", exitCode, output });
  const starting: Health = { status: "starting", failingStreak: 0, log: [] };
  expect(judged(starting, plan, result(1), 999)).toMatchObject({ status: "starting", failingStreak: 0 });
  const once = judged(starting, plan, result(1), 1000);
  expect(once).toMatchObject({ status: "starting", failingStreak: 1 });
  expect(judged(once, plan, result(-1), 1000)).toMatchObject({ status: "unhealthy", failingStreak: 2 });
  const healthy = judged(once, plan, result(0), 1000);
  expect(healthy).toMatchObject({ status: "healthy", failingStreak: 0 });
  // Healthy once: the start period is over.
  expect(judged(healthy, plan, result(1), 1)).toMatchObject({ status: "healthy", failingStreak: 1 });
  let health = starting;
  for (let index = 0; index < 7; index++) health = judged(health, plan, result(0, String(index)), 0);
  expect(health.log.map(({ output }) => output)).toEqual(["2", "3", "4", "5", "6"]);
});

function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test("both outputs are kept in their order, however the bytes are cut", () => {
  const bytes = Buffer.concat([frame(1, "out "), frame(2, "err"), frame(1, ""), frame(1, "!")]);
  for (let size = 1; size <= bytes.length; size++) {
    const output = new ProbeOutput();
    for (let at = 0; at < bytes.length; at += size) output.push(bytes.subarray(at, at + size));
    expect(output.text()).toBe("out err!");
  }
});

test("4,096 bytes of output are kept", () => {
  const exact = new ProbeOutput();
  exact.push(frame(1, "x".repeat(4096)));
  expect(exact.text()).toBe("x".repeat(4096));
  const more = new ProbeOutput();
  for (let index = 0; index < 100; index++) more.push(frame(2, "y".repeat(1000)));
  expect(more.text()).toBe(`${"y".repeat(4096)}...`);
});

test("durations as Go writes them", () => {
  expect([1, 600, 1000, 1500, 90_000, 3_600_000, 0.5].map(goDuration)).toEqual([
    "1ms",
    "600ms",
    "1s",
    "1.5s",
    "1m30s",
    "1h0m0s",
    "0.5ms",
  ]);
});
