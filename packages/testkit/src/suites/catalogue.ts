// The public suites that judge the engine. They lie outside the repository, their Go tests already compiled
// (go test -c) as `suite.test` beside the sources of each package.
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runGo } from "./go.ts";
import type { TestResult } from "./result.ts";
import { runMocha, runPytest } from "./scripted.ts";

export interface SuiteTarget {
  /** unix:// address of the engine. */
  readonly host: string;
  /** Words before a command that put it into the engine's namespaces: ports, addresses and mounts are looked at from there. */
  readonly enter: readonly string[];
  readonly only?: string;
  readonly onResult: (result: TestResult) => void;
}

export interface Suite {
  readonly about: string;
  readonly run: (dir: string, target: SuiteTarget) => Promise<TestResult[]>;
}

const IDLE_MS = 180_000;

export const SUITES: Readonly<Record<string, Suite>> = {
  "moby-integration": {
    about: "moby's integration/ (the folder of the sources; packages with a suite.test)",
    run: (dir, target) => goPackages(join(dir, "integration"), 1, target),
  },
  "moby-cli": {
    about: "moby's integration-cli/ (TEST_CLIENT_BINARY names the docker client of its time)",
    run: (dir, target) => goPackages(join(dir, "integration-cli"), 2, target),
  },
  "docker-cli": {
    about: "docker/cli's e2e/",
    run: (dir, target) => goPackages(join(dir, "e2e"), 1, target),
  },
  "docker-py": {
    about: "docker-py's tests/integration, with pytest and pytest-timeout",
    run: (dir, target) => runPytest({ ...environment(dir, target) }, "tests/integration"),
  },
  dockerode: {
    about: "dockerode's mocha suite, with its npm packages installed",
    // It looks for a socket file of its own unless that is taken from it.
    run: (dir, target) => {
      const { env, ...rest } = environment(dir, target);
      return runMocha({ ...rest, env: { ...env, DOCKER_SOCKET: "use DOCKER_HOST" } });
    },
  },
};

function environment(dir: string, target: SuiteTarget) {
  const env = { ...process.env, DOCKER_HOST: target.host, TEST_DOCKER_HOST: target.host };
  return { dir, env, enter: target.enter, ...(target.only === undefined ? {} : { only: target.only }) };
}

async function goPackages(root: string, depth: 1 | 2, target: SuiteTarget): Promise<TestResult[]> {
  const results: TestResult[] = [];
  const [, only] = split(target.only);
  for (const folder of await compiled(root)) {
    const cwd = join(root, folder);
    const prefix = folder === "" ? "integration-cli" : folder;
    if (!wants(target.only, prefix)) continue;
    const { env } = environment(cwd, target);
    const report = { depth, prefix, idleMs: IDLE_MS, enter: target.enter, onResult: target.onResult };
    const binary = join(cwd, "suite.test");
    results.push(...(await runGo({ ...report, binary, cwd, env, ...(only === undefined ? {} : { only }) })));
  }
  return results;
}

/** "PACKAGE:EXPRESSION", either part may be left out. */
function split(only: string | undefined): [string | undefined, string | undefined] {
  if (only === undefined) return [undefined, undefined];
  const at = only.indexOf(":");
  return at < 0 ? [undefined, only] : [only.slice(0, at) || undefined, only.slice(at + 1) || undefined];
}

function wants(only: string | undefined, prefix: string): boolean {
  const [named] = split(only);
  return named === undefined || named === prefix;
}

/** Folders below `root` that hold a suite.test, relative to it. */
async function compiled(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true });
  const found = entries.filter((path) => path === "suite.test" || path.endsWith("/suite.test"));
  if (found.length === 0) throw new Error(`${root}: no suite.test in it (go test -c -o PACKAGE/suite.test)`);
  for (const path of found) await stat(join(root, path));
  return found.map((path) => (dirname(path) === "." ? "" : dirname(path))).sort();
}
