// What a suite said of one engine, and two engines side by side.
export type Outcome = "pass" | "fail" | "skip";

export interface TestResult {
  /** As the suite itself names it; unique within the suite. */
  readonly test: string;
  readonly outcome: Outcome;
  readonly seconds: number;
  /** What it said when it failed or why it was skipped; at most WHY_BYTES. */
  readonly why?: string;
}

export const WHY_BYTES = 4_000;

export interface Totals {
  readonly pass: number;
  readonly fail: number;
  readonly skip: number;
}

export function totals(results: readonly TestResult[]): Totals {
  const count = (outcome: Outcome) => results.filter((result) => result.outcome === outcome).length;
  return { pass: count("pass"), fail: count("fail"), skip: count("skip") };
}

export interface Comparison {
  /** Tests that pass on the peer and belong to this suite's judgement. */
  readonly wanted: number;
  /** Of those, how many pass here. */
  readonly met: number;
  /** Those that don't, with what was said here. */
  readonly lost: readonly TestResult[];
  /** The same for tests that another part of the engine answers for. */
  readonly lostElsewhere: readonly TestResult[];
  /** Tests that fail on the peer and pass here. */
  readonly gained: readonly string[];
}

/**
 * Measures `here` by what passes on the `peer`.
 * A test that did not run here counts as lost: nothing may pass by not being there.
 */
export function compare(
  here: readonly TestResult[],
  peer: readonly TestResult[],
  elsewhere: (test: string) => boolean,
): Comparison {
  const own = new Map(here.map((result) => [result.test, result]));
  const passing = peer.filter((result) => result.outcome === "pass").map((result) => result.test);
  const missing = (test: string): TestResult => ({ test, outcome: "fail", seconds: 0, why: "did not run" });
  const lost = passing.map((test) => own.get(test) ?? missing(test)).filter((result) => result.outcome !== "pass");
  const wanted = passing.filter((test) => !elsewhere(test)).length;
  const lostHere = lost.filter((result) => !elsewhere(result.test));
  const peerPasses = new Set(passing);
  return {
    wanted,
    met: wanted - lostHere.length,
    lost: lostHere,
    lostElsewhere: lost.filter((result) => elsewhere(result.test)),
    gained: here.filter((result) => result.outcome === "pass" && !peerPasses.has(result.test)).map(({ test }) => test),
  };
}

/** The line of a test's output that tells most: an assertion, an error, or else the last one. */
export function reason(why: string | undefined): string {
  const lines = (why ?? "").split("\n").map((line) => line.trim());
  const telling = /assertion failed|^E {2,}|panic:|Error response|[Ee]rror:|timeout|expected|got /;
  const line = lines.find((text) => telling.test(text)) ?? lines.filter(Boolean).at(-1) ?? "no reason given";
  return line.replace(/^E\s+/, "").slice(0, 300);
}
