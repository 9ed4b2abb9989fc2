// All that is held by a rule: Biome's format and lint, buf's on the protos, and the layout's own (who may import whom,
// how long a file may be). Nothing is rewritten; `npm run format` does that.
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { layoutFaults } from "./layout.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const bin = join(root, "node_modules/.bin");

const checks = [
  ["biome", () => run("biome", ["ci", "--max-diagnostics=50", "."], root)],
  ["buf lint", () => run("buf", ["lint"], join(root, "proto"))],
  ["buf breaking", () => breaking()],
  ["layout", () => layout()],
];

const failed = checks.filter(([, check]) => !check()).map(([name]) => name);
if (failed.length > 0) {
  console.error(`lint failed: ${failed.join(", ")}`);
  process.exitCode = 1;
}

function run(program, args, cwd) {
  const env = { ...process.env, DO_NOT_TRACK: "1" };
  return spawnSync(join(bin, program), args, { cwd, env, stdio: "inherit" }).status === 0;
}

/** Against the state before this branch, or before the last commit on main; a clone without history has nothing to break. */
function breaking() {
  const base = ["origin/main", "main"].map(mergeBase).find((commit) => commit !== undefined) ?? parent();
  if (base === undefined) return true;
  return run("buf", ["breaking", "--against", `${join(root, ".git")}#ref=${base},subdir=proto`], join(root, "proto"));
}

/** Where the branch left `ref`; undefined on that very commit. */
function mergeBase(ref) {
  const base = git("merge-base", "HEAD", ref);
  return base === git("rev-parse", "HEAD") ? undefined : base;
}

function parent() {
  const commit = git("rev-parse", "--verify", "--quiet", "HEAD^");
  return commit !== undefined && git("ls-tree", commit, "proto/buf.yaml") ? commit : undefined;
}

function git(...args) {
  const { status, stdout } = spawnSync("git", args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 && stdout.trim() !== "" ? stdout.trim() : undefined;
}

function layout() {
  const faults = layoutFaults(root);
  for (const fault of faults) console.error(fault);
  return faults.length === 0;
}
