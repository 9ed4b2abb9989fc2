import { execFailureText, programFailure } from "@berth/errors";
import { expect, test } from "vitest";
import { Container } from "../src/domain/containers/container.ts";
import { Registry } from "../src/domain/containers/registry.ts";
import { restartDelay, startsAtBoot } from "../src/domain/containers/restart-policy.ts";
import { startFailure } from "../src/domain/containers/start-failure.ts";
import { transit } from "../src/domain/containers/state.ts";
import { newId, newMac, randomName } from "../src/domain/ids.ts";
import { Mutex } from "../src/domain/mutex.ts";
import { parsePs } from "../src/domain/stats/ps.ts";
import { fromNano, toNano } from "../src/domain/time.ts";
import { makeRecord, makeSpec } from "./support.ts";

test("restarts back off from 100 ms, doubling to a minute, and start over after 10 s", () => {
  const ask = (change: object) =>
    restartDelay({
      policy: { name: "always", maximumRetryCount: 0 },
      exitCode: 0,
      manuallyStopped: false,
      restartCount: 0,
      ranForMs: 0,
      previousDelayMs: 0,
      replacing: false,
      ...change,
    });
  expect(ask({})).toBe(100);
  expect(ask({ previousDelayMs: 100 })).toBe(200);
  expect(ask({ previousDelayMs: 51_200 })).toBe(60_000);
  expect(ask({ previousDelayMs: 51_200, ranForMs: 10_001 })).toBe(100);
  expect(ask({ manuallyStopped: true })).toBeUndefined();
  expect(ask({ policy: { name: "no", maximumRetryCount: 0 } })).toBeUndefined();
  const onFailure = { policy: { name: "on-failure", maximumRetryCount: 2 } };
  expect(ask(onFailure)).toBeUndefined();
  expect(ask({ ...onFailure, exitCode: 1, restartCount: 1 })).toBe(100);
  expect(ask({ ...onFailure, exitCode: 1, restartCount: 2 })).toBeUndefined();
});

test("what starts again after a boot", () => {
  const policy = (name: string) => ({ name, maximumRetryCount: 0 });
  expect(startsAtBoot(policy("always"), true, false)).toBe(true);
  expect(startsAtBoot(policy("unless-stopped"), true, false)).toBe(false);
  expect(startsAtBoot(policy("unless-stopped"), false, true)).toBe(true);
  expect(startsAtBoot(policy("on-failure"), false, true)).toBe(true);
  expect(startsAtBoot(policy("no"), false, true)).toBe(false);
});

test("states go only where they may", () => {
  const record = makeRecord(makeSpec());
  transit(record, "running", { pid: 5 });
  expect(record.state).toMatchObject({ status: "running", pid: 5 });
  expect(() => transit(record, "created")).toThrow("no step from running to created");
  transit(record, "paused");
  expect(() => transit(record, "removing")).toThrow();
});

test("failures to start in Docker's words", () => {
  const record = makeRecord(makeSpec({}, { cmd: ["/x"] }));
  const error = startFailure(record, {
    event: "failed",
    exitCode: 127,
    phase: "exec",
    message: "exec /x: No such file or directory",
  });
  expect(error).toMatchObject({ reason: "START_FAILED", details: { exitCode: "127" } });
  expect(error.message).toMatch(/exec: "\/x": stat \/x: no such file or directory$/);
  expect(
    startFailure(record, { event: "failed", exitCode: 128, phase: "create", message: "mount proc: Invalid argument" }),
  ).toMatchObject({ reason: "INTERNAL", details: { exitCode: "128" } });
  expect(programFailure("foo", 127, "x")).toBe('exec: "foo": executable file not found in $PATH');
  expect(programFailure("/f", 126, "exec /f: Exec format error")).toBe("exec /f: exec format error");
  const missing = { exitCode: 127, call: "chdir to cwd", object: "/no", code: "ENOENT", message: "x" };
  expect(execFailureText("pwd", missing)).toBe(
    'OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd ("/no") set in config.json failed: no such file or directory',
  );
});

test("references: name, id, unambiguous prefix", () => {
  const registry = new Registry();
  const add = (id: string, name: string) => {
    const container = new Container({ ...makeRecord(makeSpec(), id), name }, "/s");
    registry.add(container);
    return container;
  };
  const a = add(`abc${"0".repeat(61)}`, "one");
  const b = add(`abd${"0".repeat(61)}`, "abc");
  expect(registry.find("one")).toBe(a);
  expect(registry.find("/one")).toBe(a);
  expect(registry.find("abd")).toBe(b);
  // A name wins over a prefix.
  expect(registry.find("abc")).toBe(b);
  expect(() => registry.find("ab")).toThrow("multiple IDs found with provided prefix: ab");
  expect(() => registry.find("zz")).toThrow("No such container: zz");
  registry.delete(a);
  expect(() => registry.find("one")).toThrow();
  expect(registry.wasRemovedHere(a.id)).toBe(true);
});

test("waits end at what they wait for", async () => {
  const container = new Container(makeRecord(makeSpec()), "/s");
  const done: string[] = [];
  const waits = (["not-running", "next-exit", "removed"] as const).map((condition) =>
    container.wait(condition).then(() => done.push(condition)),
  );
  container.exited();
  await new Promise(setImmediate);
  expect(done.toSorted()).toEqual(["next-exit", "not-running"]);
  container.hasBeenRemoved();
  await Promise.all(waits);
  await expect(container.wait("removed", AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
});

test("a mutex keeps order and survives failures", async () => {
  const mutex = new Mutex();
  const order: number[] = [];
  const slow = mutex.run(async () => {
    await new Promise((done) => setTimeout(done, 5));
    order.push(1);
  });
  const failing = mutex.run(() => {
    order.push(2);
    throw new Error("x");
  });
  const last = mutex.run(() => void order.push(3));
  await slow;
  await expect(failing).rejects.toThrow("x");
  await last;
  expect(order).toEqual([1, 2, 3]);
});

test("time keeps its nanoseconds", () => {
  expect(toNano("2026-01-02T03:04:05.000000006Z") % 1_000_000_000n).toBe(6n);
  expect(fromNano(toNano("2026-01-02T03:04:05.1Z"))).toBe("2026-01-02T03:04:05.100000000Z");
  expect(toNano("never")).toBe(0n);
});

test("made-up names and ids have their form", () => {
  for (let i = 0; i < 100; i++) {
    expect(randomName(0)).toMatch(/^[a-z]+_[a-z]+$/);
    expect(randomName(4)).toMatch(/^[a-z]+_[a-z]+\d+$/);
    expect(newId()).toMatch(/^[0-9a-f]{64}$/);
    expect(Number.parseInt(newMac().slice(0, 2), 16) & 3).toBe(2);
  }
});

test("rows of ps: those of the container, with their threads, commands in one piece", () => {
  const text = "  PID S COMMAND\n    7 S sleep  10 20\n    - - \n    8 R other\n    - - hidden\n";
  expect(parsePs(text, new Set([7]))).toEqual({
    titles: ["PID", "S", "COMMAND"],
    rows: [
      ["7", "S", "sleep 10 20"],
      ["-", "-", ""],
    ],
  });
  expect(() => parsePs("COMMAND\nsh\n", new Set([7]))).toThrow("Couldn't find PID field in ps output");
  expect(() => parsePs("PID\nx\n", new Set([7]))).toThrow("Unexpected pid 'x'");
});
