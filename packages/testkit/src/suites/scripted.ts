// Suites in Python and JavaScript: the suite's own runner, which leaves its results in a file.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "../process.ts";
import { type TestResult, WHY_BYTES } from "./result.ts";

export interface ScriptedRun {
  /** Words before the command, to enter a network namespace. */
  readonly enter: readonly string[];
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Which tests, in the runner's own way (pytest -k, mocha --grep). */
  readonly only?: string;
}

const WHOLE_SUITE_MS = 3_600_000;

/** pytest below `folder`; BERTH_SUITES_PYTHON names another interpreter than Debian's. */
export function runPytest(options: ScriptedRun, folder: string): Promise<TestResult[]> {
  return withFile(async (file) => {
    const python = process.env["BERTH_SUITES_PYTHON"] ?? "/usr/bin/python3";
    const only = options.only === undefined ? [] : ["-k", options.only];
    const limits = ["-o", "timeout=120", "-o", "timeout_method=signal"];
    const said = await run(
      [
        ...options.enter,
        python,
        "-m",
        "pytest",
        folder,
        "-q",
        "-p",
        "berth_results",
        "-p",
        "no:cacheprovider",
        ...limits,
        ...only,
      ],
      {
        cwd: options.dir,
        env: {
          ...options.env,
          HOME: dirname(file),
          BERTH_RESULTS: file,
          PYTHONPATH: import.meta.dirname,
          PYTHONDONTWRITEBYTECODE: "1",
        },
        timeoutMs: WHOLE_SUITE_MS,
      },
    );
    const text = await readFile(file, "utf8").catch(() => "");
    if (text === "")
      throw new Error(`pytest gave no results:\n${said.stdout.slice(-WHY_BYTES)}${said.stderr.slice(-WHY_BYTES)}`);
    return text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as TestResult);
  });
}

interface MochaTest {
  readonly fullTitle: string;
  readonly file?: string;
  /** ms; not there when the test did not run. */
  readonly duration?: number;
  readonly err: { readonly message?: string; readonly stack?: string };
}

interface MochaReport {
  readonly tests: readonly MochaTest[];
  /** Has failed hooks beside failed tests. */
  readonly failures: readonly MochaTest[];
}

/** The mocha that the suite's folder has installed. */
export function runMocha(options: ScriptedRun): Promise<TestResult[]> {
  return withFile(async (file) => {
    const only = options.only === undefined ? [] : ["--grep", options.only];
    const report = ["--reporter", "json", "--reporter-option", `output=${file}`, "--exit"];
    const said = await run(
      [...options.enter, process.execPath, join(options.dir, "node_modules/mocha/bin/mocha.js"), ...report, ...only],
      { cwd: options.dir, env: { ...options.env, HOME: dirname(file) }, timeoutMs: WHOLE_SUITE_MS },
    );
    const text = await readFile(file, "utf8").catch(() => "");
    if (text === "")
      throw new Error(`mocha gave no results:\n${said.stdout.slice(-WHY_BYTES)}${said.stderr.slice(-WHY_BYTES)}`);
    return mochaResults(JSON.parse(text) as MochaReport, options.dir);
  });
}

export function mochaResults(report: MochaReport, dir: string): TestResult[] {
  const named = new Map<string, number>();
  const hooks = report.failures.filter(({ fullTitle }) => !report.tests.some((test) => test.fullTitle === fullTitle));
  return [...report.tests, ...hooks].map((test) => {
    const title = `${(test.file ?? "").slice(dir.length + 1)} ${test.fullTitle}`;
    const nth = (named.get(title) ?? 0) + 1;
    named.set(title, nth);
    const why = (test.err.stack ?? test.err.message ?? "").slice(0, WHY_BYTES);
    const outcome = why !== "" ? "fail" : test.duration === undefined ? "skip" : "pass";
    // Titles need not be unique there.
    const name = nth === 1 ? title : `${title} (${nth})`;
    return { test: name, outcome, seconds: (test.duration ?? 0) / 1000, ...(why === "" ? {} : { why }) };
  });
}

async function withFile<T>(use: (file: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "berth-suites-"));
  try {
    // A client's configuration of its own: without one docker-py keeps contexts in the suite's folder.
    await mkdir(join(dir, ".docker"));
    await writeFile(join(dir, ".docker/config.json"), "{}");
    return await use(join(dir, "results"));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
