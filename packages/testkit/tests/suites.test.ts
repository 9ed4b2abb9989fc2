// What the public suites print, read as results; and two engines' results compared.
import { describe, expect, it } from "vitest";
import { GoReader } from "../src/suites/go.ts";
import { compare, reason, type TestResult } from "../src/suites/result.ts";
import { mochaResults } from "../src/suites/scripted.ts";

const MARK = "\x16";

function read(depth: number, lines: readonly string[]) {
  const results: TestResult[] = [];
  const reader = new GoReader(depth, (result) => results.push(result));
  for (const line of lines) reader.line(line);
  reader.end();
  return { results, complete: reader.summed };
}

describe("a Go test binary's output", () => {
  it("gives each top-level test once, with what it said when it failed", () => {
    const { results, complete } = read(1, [
      `${MARK}=== RUN   TestA`,
      `${MARK}=== RUN   TestA/sub`,
      "    a_test.go:3: assertion failed: 1 (int) != 2 (int)",
      `${MARK}    --- FAIL: TestA/sub (0.10s)`,
      `${MARK}--- FAIL: TestA (0.20s)`,
      `${MARK}=== RUN   TestB`,
      `${MARK}--- PASS: TestB (1.50s)`,
      `${MARK}=== RUN   TestC`,
      "    c_test.go:1: not on this machine",
      `${MARK}--- SKIP: TestC (0.00s)`,
      `${MARK}FAIL`,
    ]);
    expect(complete).toBe(true);
    expect(results.map(({ test, outcome, seconds }) => [test, outcome, seconds])).toEqual([
      ["TestA", "fail", 0.2],
      ["TestB", "pass", 1.5],
      ["TestC", "skip", 0],
    ]);
    expect(reason(results[0]?.why)).toBe("a_test.go:3: assertion failed: 1 (int) != 2 (int)");
  });

  it("counts the methods of a suite, not the suite", () => {
    const { results } = read(2, [
      `${MARK}=== RUN   TestSuite`,
      `${MARK}=== RUN   TestSuite/TestOne`,
      `${MARK}    --- PASS: TestSuite/TestOne (0.00s)`,
      `${MARK}=== RUN   TestSuite/TestTwo`,
      `${MARK}=== RUN   TestSuite/TestTwo/deeper`,
      `${MARK}        --- PASS: TestSuite/TestTwo/deeper (0.00s)`,
      `${MARK}    --- PASS: TestSuite/TestTwo (0.00s)`,
      `${MARK}--- PASS: TestSuite (0.00s)`,
      `${MARK}PASS`,
    ]);
    expect(results.map(({ test }) => test)).toEqual(["TestSuite/TestOne", "TestSuite/TestTwo"]);
  });

  it("finds the marker behind output that ended without a newline, and the test that was running at a crash", () => {
    const { results, complete } = read(1, [
      `${MARK}=== RUN   TestA`,
      `no newline${MARK}--- PASS: TestA (0.00s)`,
      `${MARK}=== RUN   TestB`,
      "panic: runtime error",
    ]);
    expect(complete).toBe(false);
    expect(results.map(({ test, outcome }) => [test, outcome])).toEqual([
      ["TestA", "pass"],
      ["TestB", "fail"],
    ]);
    expect(results[1]?.why).toContain("panic: runtime error");
  });
});

describe("mocha's report", () => {
  it("keeps tests of one title apart and counts failed hooks", () => {
    const file = "/suite/test/a.js";
    const results = mochaResults(
      {
        tests: [
          { fullTitle: "#a works", file, duration: 20, err: {} },
          { fullTitle: "#a works", file, duration: 10, err: { message: "no" } },
          { fullTitle: "#a later", file, err: {} },
        ],
        failures: [
          { fullTitle: "#a works", file, err: { message: "no" } },
          { fullTitle: '#a "before all" hook', file, err: { message: "hook" } },
        ],
      },
      "/suite",
    );
    expect(results.map(({ test, outcome }) => [test, outcome])).toEqual([
      ["test/a.js #a works", "pass"],
      ["test/a.js #a works (2)", "fail"],
      ["test/a.js #a later", "skip"],
      ['test/a.js #a "before all" hook', "fail"],
    ]);
  });
});

describe("two engines", () => {
  it("are compared by what passes on the peer; a test that did not run here is lost", () => {
    const pass = (test: string) => ({ test, outcome: "pass" as const, seconds: 0 });
    const fail = (test: string) => ({ test, outcome: "fail" as const, seconds: 0, why: "x" });
    const result = compare(
      [pass("a"), fail("b"), pass("c"), fail("build")],
      [pass("a"), pass("b"), fail("c"), pass("gone"), pass("build")],
      (test) => test === "build",
    );
    expect(result).toMatchObject({ wanted: 3, met: 1, gained: ["c"] });
    expect(result.lost.map(({ test }) => test)).toEqual(["b", "gone"]);
    expect(result.lostElsewhere.map(({ test }) => test)).toEqual(["build"]);
  });
});
