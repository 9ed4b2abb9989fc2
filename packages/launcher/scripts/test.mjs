// Everything that must hold, in the order of its cost: types, lint, native, unit, root, end to end. Goes on after a
// failure, so that one run tells all; the last lines name what failed and give the sum.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const bin = join(root, "node_modules/.bin");
const reports = mkdtempSync(join(tmpdir(), "berth-test-"));
const totals = { passed: 0, failed: 0 };
const failures = [];

try {
  await check("nats-server", [process.execPath, join(root, "packages/launcher/scripts/nats-server.mjs")]);
  await check("types", [join(bin, "tsc"), "-p", "."]);
  await check("lint", [process.execPath, join(root, "packages/launcher/scripts/lint.mjs")]);
  for (const workspace of nativeWorkspaces()) await nativeTests(workspace);
  for (const project of ["unit", "root", "e2e"]) await vitest(project);
} finally {
  rmSync(reports, { recursive: true, force: true });
}
if (failures.length > 0) console.log(`\n== failed\n${failures.join("\n")}`);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed > 0 ? 1 : 0;

/** A step that counts as one test. */
async function check(name, command, options) {
  heading(name);
  const { status } = await run(command, options);
  count(name, status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
}

async function vitest(project) {
  heading(`${project} tests`);
  const report = join(reports, `${project}.json`);
  const args = [
    "run",
    "--project",
    project,
    "--passWithNoTests",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ];
  const { status, output } = await run([join(bin, "vitest"), ...args, ...process.argv.slice(2)], { keep: true });
  const counts = readReport(report, status);
  // Something outside of tests: an error that nobody caught, an end that did not come.
  if (counts.failed > 0 && !counts.names?.length) counts.names = lastWords(output, status);
  count(project, counts);
}

/** Vitest's own words about what is no test's failure, else its last lines. */
function lastWords(output, status) {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const trouble = lines.findIndex((line) => /Unhandled|close timed out|Failed to/.test(line));
  const said = trouble === -1 ? lines.slice(-10) : lines.slice(trouble, trouble + 25);
  return [`vitest ended with ${status}, and no test failed:`, ...said];
}

/** A file that did not even load has no failed test in the report, and still fails the run. */
function readReport(report, status) {
  if (!existsSync(report)) return { passed: 0, failed: status === 0 ? 0 : 1 };
  const { numPassedTests: passed, numFailedTests: failed, testResults } = JSON.parse(readFileSync(report, "utf8"));
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed, names: failedTests(testResults) };
}

/** A line for each failed test and each file that did not load: its file, its name, how its message begins. */
function failedTests(files) {
  return files.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const tests = assertionResults.filter((test) => test.status === "failed");
    if (status === "failed" && tests.length === 0) return [`${file}: ${firstLine(message)}`];
    return tests.map(({ fullName, failureMessages: [why = ""] }) => `${file} > ${fullName}: ${firstLine(why)}`);
  });
}

function firstLine(text) {
  return text.split("\n", 1)[0];
}

/** Native workspaces bring their own runner as the script test:native, which says "N passed, N failed". */
function nativeWorkspaces() {
  return readdirSync(join(root, "native"))
    .map((name) => join(root, "native", name))
    .filter((directory) => existsSync(join(directory, "package.json")))
    .filter((directory) => JSON.parse(readFileSync(join(directory, "package.json"), "utf8")).scripts?.["test:native"]);
}

async function nativeTests(directory) {
  const name = directory.slice(root.length + 1);
  heading(`${name} native tests`);
  const { status, output } = await run(["npm", "run", "--silent", "test:native"], { cwd: directory, keep: true });
  // doctest counts assertions as well, in a line of their own.
  const cases = output.replace(/^.*assertions:.*$/gm, "");
  const said = [...cases.matchAll(/(\d+) passed[^\n]*?(\d+) failed/g)].at(-1);
  const counts = said
    ? { passed: Number(said[1]), failed: Number(said[2]) }
    : { passed: status === 0 ? 1 : 0, failed: 0 };
  count(name, { passed: counts.passed, failed: status !== 0 && counts.failed === 0 ? 1 : counts.failed });
}

function heading(name) {
  console.log(`\n== ${name} (after ${Math.round(performance.now() / 1000)} s)`);
}

/** `names`: of what failed, where more is known than that something did. */
function count(name, { passed, failed, names = [] }) {
  totals.passed += passed;
  totals.failed += failed;
  if (failed > 0) failures.push(name, ...names.map((line) => `  ${line}`));
}

function run([command, ...args], { cwd = root, keep = false } = {}) {
  return new Promise((done, fail) => {
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, CI: process.env.CI ?? "true" };
    if (process.stdout.isTTY) env.FORCE_COLOR ??= "1";
    const own = keep ? "pipe" : "inherit";
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", own, own] });
    let output = "";
    const pass = (to) => (data) => {
      to.write(data);
      output = (output + data).slice(-100_000);
    };
    child.stdout?.on("data", pass(process.stdout));
    child.stderr?.on("data", pass(process.stderr));
    child.once("error", fail);
    child.once("close", (status) => done({ status, output }));
  });
}
