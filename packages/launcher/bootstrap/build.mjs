import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What the outputs are made of, below each of which every file counts; directories of outputs don't. */
const sources = ["proto", "packages", "services", "native", "package-lock.json", "turbo.json"];
const ignored = new Set(["node_modules", "dist", "build", "gen", ".turbo", "coverage"]);

/**
 * Builds, unless the sources are as they were at the last good build. Sizes and times of all files tell that in a few
 * milliseconds; when they differ, turbo finds out by content what really has to be made again. Native test programs are
 * made for the purpose "test" alone: they double the time that a first start takes.
 */
export async function ensureBuilt(root, purposes, say) {
  const forTests = purposes.includes("test");
  const stampFile = join(root, forTests ? ".cache/built-tests" : ".cache/built");
  const stamp = fingerprint(root, forTests);
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp && outputsExist(root)) return;
  say("building");
  const turbo = join(root, "node_modules/.bin/turbo");
  const tasks = ["generate", "build", forTests ? "build:native-tests" : "build:native"];
  const env = {
    ...process.env,
    TURBO_TELEMETRY_DISABLED: "1",
    DO_NOT_TRACK: "1",
    PATH: `${join(root, "node_modules/.bin")}:${process.env.PATH}`,
  };
  const status = await run([turbo, "run", ...tasks, "--output-logs=errors-only", "--no-update-notifier"], {
    cwd: root,
    env,
  });
  if (status !== 0) throw new Error(`the build failed (exit code ${status})`);
  mkdirSync(join(root, ".cache"), { recursive: true });
  writeFileSync(stampFile, stamp);
  if (forTests) writeFileSync(join(root, ".cache/built"), fingerprint(root, false));
}

function outputsExist(root) {
  const outputs = ["packages/api/src/gen", "packages/launcher/dist/main.js", "native/hello/build/hello"];
  return outputs.every((path) => existsSync(join(root, path)));
}

function fingerprint(root, withTests) {
  const hash = createHash("sha256");
  const visit = (path, name) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isDirectory()) {
      for (const child of readdirSync(path).sort())
        if (!ignored.has(child) && (withTests || child !== "tests")) visit(join(path, child), `${name}/${child}`);
    } else {
      hash.update(`${name} ${stat.size} ${stat.mtimeMs}\n`);
    }
  };
  for (const source of sources) visit(join(root, source), source);
  return hash.digest("hex");
}

/** Runs a program to its end and gives its exit code (128 + number for a signal). Signals to us go to it. What set-up programs say goes to stderr. */
export function run([command, ...args], { cwd, env = process.env, stdio = [0, 2, 2], quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: quiet ? "ignore" : stdio });
    const forward = (signal) => child.kill(signal);
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, forward);
    child.once("error", (error) => reject(new Error(`cannot run ${command}: ${error.message}`)));
    child.once("exit", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? (signal === "SIGINT" ? 130 : 143));
    });
  });
}
