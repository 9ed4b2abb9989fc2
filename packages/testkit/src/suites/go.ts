// Compiled Go test binaries (go test -c): run to the end even when one test hangs or takes the program down.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { ended, run } from "../process.ts";
import { type Outcome, type TestResult, WHY_BYTES } from "./result.ts";

export interface GoRun {
  /** Words before the binary, to enter a network namespace. */
  readonly enter: readonly string[];
  readonly binary: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** How deep the tests lie that are counted: 1 for top-level functions, 2 for the methods of suites. */
  readonly depth: 1 | 2;
  /** Go's own -test.run expression. */
  readonly only?: string;
  /** Prepended to the tests' names, with a slash. */
  readonly prefix: string;
  /** A test that says nothing for so long hangs: it has failed and the program is ended. */
  readonly idleMs: number;
  readonly onResult: (result: TestResult) => void;
}

const MAX_ROUNDS = 60;

/** Runs every test of the binary; starts it again without the tests already seen when it ends half-way. */
export async function runGo(options: GoRun): Promise<TestResult[]> {
  const results = new Map<string, TestResult>();
  for (const top of options.depth === 1 ? [undefined] : await suitesOf(options)) {
    const seen = new Set<string>();
    const take = (result: TestResult) => {
      seen.add(result.test);
      const named = { ...result, test: `${options.prefix}/${result.test}` };
      results.set(named.test, named);
      options.onResult(named);
    };
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const report = await once(options, top, [...seen], take);
      // Nothing new: going on would run the same again.
      if (report.complete || report.seen === 0) break;
    }
  }
  return [...results.values()];
}

/** The top-level functions that hold suites of methods. */
async function suitesOf({ enter, binary, cwd, env, only }: GoRun): Promise<string[]> {
  const pattern = only?.split("/")[0] ?? ".";
  const list = await run([...enter, binary, "-test.list", pattern], { cwd, env, timeoutMs: 120_000 });
  return list.stdout.split("\n").filter((line) => /^Test\w+$/.test(line));
}

interface Report {
  readonly seen: number;
  /** The program came to its own end: every test that there is has been seen. */
  readonly complete: boolean;
}

async function once(
  options: GoRun,
  top: string | undefined,
  seen: readonly string[],
  take: (result: TestResult) => void,
): Promise<Report> {
  const { enter, binary, cwd, env, depth, idleMs } = options;
  const method = options.only?.split("/")[1];
  const only = top === undefined ? (options.only ?? ".") : `^${top}$${method === undefined ? "" : `/${method}`}`;
  const args = ["-test.v=test2json", "-test.timeout=0", `-test.run=${only}`];
  if (seen.length > 0) args.push(`-test.skip=${skipPattern(top, seen)}`);
  const [file, ...rest] = [...enter, binary, ...args];
  // A group of its own: what hangs may be a client that the test started.
  const child = spawn(file as string, rest, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const end = () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
  let count = 0;
  const reader = new GoReader(depth, (result) => {
    count++;
    take(result);
  });
  let idle = setTimeout(end, idleMs);
  const read = async (stream: NodeJS.ReadableStream): Promise<void> => {
    for await (const line of createInterface({ input: stream })) {
      if (reader.line(line)) {
        clearTimeout(idle);
        idle = setTimeout(end, idleMs);
      }
    }
  };
  await Promise.all([read(child.stdout), read(child.stderr), ended(child)]);
  clearTimeout(idle);
  reader.end();
  return { seen: count, complete: reader.summed };
}

/** -test.skip takes slash-separated expressions, one a level. */
function skipPattern(top: string | undefined, seen: readonly string[]): string {
  const names = seen.map((test) => test.split("/").at(-1)).join("|");
  return top === undefined ? `^(${names})$` : `^${top}$/^(${names})$`;
}

/** Reads what -test.v=test2json prints: marker lines (framed by ^V, so that a test's own output can't be taken for one) and output. */
export class GoReader {
  /** The closing PASS or FAIL has come. */
  summed = false;
  readonly #depth: number;
  readonly #take: (result: TestResult) => void;
  readonly #open = new Map<string, string>();
  #current: string | undefined;
  #tail = "";

  constructor(depth: number, take: (result: TestResult) => void) {
    this.#depth = depth;
    this.#take = take;
  }

  /** True when the line shows that the tests go on: a marker, not mere output. */
  line(text: string): boolean {
    const at = text.indexOf("\x16");
    const marker = at < 0 ? text : text.slice(at + 1);
    if (at > 0) this.#output(text.slice(0, at));
    if (/^(PASS|FAIL)$/.test(marker)) {
      this.summed = true;
      return true;
    }
    const move = /^=== (RUN|CONT|NAME|PAUSE)\s+(\S*)$/.exec(marker);
    if (move !== null) {
      this.#current = move[1] === "PAUSE" ? undefined : this.#counted(move[2] ?? "");
      if (this.#current !== undefined && !this.#open.has(this.#current)) this.#open.set(this.#current, "");
      return true;
    }
    const done = /^\s*--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)$/.exec(marker);
    if (done !== null) {
      this.#done(done[1] ?? "", done[2] ?? "", Number(done[3]));
      return true;
    }
    this.#output(marker);
    return false;
  }

  /** What was not finished when the program ended has failed. */
  end(): void {
    if (this.summed) return;
    for (const [test, said] of this.#open) {
      if (this.#isCounted(test))
        this.#take({
          test,
          outcome: "fail",
          seconds: 0,
          why: `ended or hung in this test\n${said || this.#tail}`,
        });
    }
  }

  #done(verdict: string, test: string, seconds: number): void {
    if (!this.#isCounted(test)) return;
    const outcome: Outcome = verdict === "PASS" ? "pass" : verdict === "FAIL" ? "fail" : "skip";
    const said = this.#open.get(test);
    this.#open.delete(test);
    this.#take({ test, outcome, seconds, ...(outcome === "pass" || !said ? {} : { why: said }) });
    // The output that follows a verdict (test2json prints it there) is still that test's.
    this.#current = undefined;
  }

  #output(text: string): void {
    this.#tail = `${this.#tail}${text}\n`.slice(-WHY_BYTES);
    if (this.#current === undefined) return;
    const said = this.#open.get(this.#current) ?? "";
    if (said.length < WHY_BYTES) this.#open.set(this.#current, `${said}${text}\n`.slice(0, WHY_BYTES));
  }

  /** The counted test that a deeper one belongs to. */
  #counted(test: string): string | undefined {
    const parts = test.split("/");
    // "=== NAME" with no name says that what follows is no test's.
    return test === "" || parts.length < this.#depth ? undefined : parts.slice(0, this.#depth).join("/");
  }

  #isCounted(test: string): boolean {
    return test.split("/").length === this.#depth;
  }
}
