// The way in: `npm start` and `npm test` on any machine with Node 20 or newer. Uses built-ins alone until the packages are
// there, installs and builds what is missing, then goes on under the pinned Node. A second run finds nothing to do.
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureAptPackages } from "./bootstrap/apt.mjs";
import { ensureBuilt, run } from "./bootstrap/build.mjs";
import { withLock } from "./bootstrap/lock.mjs";
import { ensureNpmPackages } from "./bootstrap/npm.mjs";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const [command = "help", ...args] = process.argv.slice(2);

const commands = {
  /** Everything up to a running engine. */
  async start() {
    requireMachine();
    await setUp(["start"]);
    return hand("packages/launcher/dist/main.js", args);
  },
  /** Sets up and runs all checks and tests. */
  async test() {
    requireMachine();
    await setUp(["start", "test"]);
    return hand("packages/launcher/scripts/test.mjs", args);
  },
  /** Sets up, builds, and runs a file of the project: `bootstrap.mjs run FILE ARGS`. */
  async run() {
    requireMachine();
    await setUp(["start", "test"]);
    const [file, ...rest] = args;
    return hand(file, rest);
  },
  /** Sets up and builds only. */
  async build() {
    await setUp(["start"]);
    return 0;
  },
};

try {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) fail(`Node ${process.versions.node} is too old, 20 or newer is needed`);
  const action = commands[command];
  if (action === undefined) fail(`unknown command "${command}", expected one of ${Object.keys(commands).join(", ")}`);
  process.exitCode = await action();
} catch (error) {
  process.stderr.write(`berth: ${error.message}\n`);
  process.exitCode = 1;
}

async function setUp(purposes) {
  await withLock(join(root, ".cache"), async () => {
    await ensureNpmPackages(root, say);
    await ensureAptPackages(root, purposes, say);
    await ensureBuilt(root, purposes, say);
  });
}

/** Goes on as another program under the pinned Node; where this Node can, in this very process. */
function hand(file, rest) {
  const node = join(root, "node_modules/node/bin/node");
  if (!existsSync(node)) fail("the pinned Node (npm package `node`) is not installed; npm ci installs it");
  const argv = [node, join(root, file), ...rest];
  // npm runs this with its own settings in the environment; they are nobody else's business.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("npm_")));
  env.PATH = `${join(root, "node_modules/.bin")}:${process.env.PATH ?? ""}:${join(root, ".cache/bin")}`;
  if (typeof process.execve === "function") process.execve(node, argv, env);
  return run(argv, { env, stdio: "inherit" });
}

function requireMachine() {
  if (process.platform !== "linux") fail("the engine needs Linux");
  if (process.getuid() !== 0)
    fail("the engine makes namespaces, mounts and networks: run this as root (sudo npm start)");
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

function fail(message) {
  throw new Error(message);
}
