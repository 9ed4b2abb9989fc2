// npm run suites -- NAME --suite-dir DIR --host unix://... [--peer unix://... | --peer-results FILE]: a public suite as judge of the engine.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { SUITES } from "./catalogue.ts";
import { isElsewhere } from "./elsewhere.ts";
import { compare, reason, type TestResult, totals } from "./result.ts";
import { loadStandIns } from "./stand-ins.ts";

const USAGE = `Usage: npm run suites -- NAME --suite-dir DIR --host unix://SOCKET [options]
       npm run suites -- images --host unix://SOCKET

Runs a public test suite, wherever it lies, against an engine, and compares with another.
"images" loads small local stand-ins for the images that the suites name.

  --peer unix://SOCKET    run it against this engine too, and compare
  --peer-results FILE     compare with what --results once wrote
  --results FILE          write the results as JSON
  --enter WORDS           a command in front of the tests that puts them where the engine is ("nsenter --net=/run/netns/x --")
  --peer-enter WORDS      the same for the peer
  --only EXPRESSION       some tests, in the suite's own way (Go: [PACKAGE]:EXPRESSION)

${Object.entries(SUITES)
  .map(([name, suite]) => `  ${name.padEnd(22)}  ${suite.about}`)
  .join("\n")}`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "suite-dir": { type: "string" },
    host: { type: "string" },
    peer: { type: "string" },
    "peer-results": { type: "string" },
    results: { type: "string" },
    enter: { type: "string" },
    "peer-enter": { type: "string" },
    only: { type: "string" },
    help: { type: "boolean" },
  },
});

process.exitCode = options.help ? help() : await main();

function help(): number {
  console.log(USAGE);
  return 0;
}

async function main(): Promise<number> {
  const [name] = positionals;
  const { host } = options;
  if (host === undefined) return wrong("--host is missing");
  if (name === "images") {
    await loadStandIns(host);
    return 0;
  }
  const dir = options["suite-dir"];
  if (name === undefined || !Object.hasOwn(SUITES, name)) return wrong(`no suite ${name ?? "was named"}`);
  if (dir === undefined) return wrong("--suite-dir is missing");
  const here = await runOn(name, dir, host, options.enter);
  if (options.results !== undefined) await save(options.results, here);
  const peer = await peerResults(name, dir);
  return peer === undefined ? report(here) : reportBoth(name, here, peer);
}

function wrong(what: string): number {
  console.error(`${what}\n\n${USAGE}`);
  return 2;
}

async function runOn(name: string, dir: string, host: string, words: string | undefined): Promise<TestResult[]> {
  // A suite may lose every image it was given; each run starts with all of them.
  await loadStandIns(host);
  const enter = (words ?? "").split(" ").filter(Boolean);
  const only = options.only === undefined ? {} : { only: options.only };
  const onResult = ({ outcome, test, seconds }: TestResult) => console.error(`${outcome} ${test} (${seconds} s)`);
  const suite = SUITES[name];
  if (suite === undefined) throw new TypeError(`no suite ${name}`);
  return suite.run(dir, { host, enter, onResult, ...only });
}

async function peerResults(name: string, dir: string): Promise<TestResult[] | undefined> {
  const file = options["peer-results"];
  if (file !== undefined) return JSON.parse(await readFile(file, "utf8")) as TestResult[];
  return options.peer === undefined ? undefined : runOn(name, dir, options.peer, options["peer-enter"]);
}

async function save(file: string, results: readonly TestResult[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(results, undefined, 1)}\n`);
}

function report(results: readonly TestResult[]): number {
  for (const { test, why } of results.filter(({ outcome }) => outcome === "fail")) {
    console.log(`FAIL ${test}\n     ${reason(why)}`);
  }
  const { pass, fail, skip } = totals(results);
  console.log(`${pass} passed, ${fail} failed, ${skip} skipped`);
  return fail === 0 ? 0 : 1;
}

function reportBoth(name: string, here: readonly TestResult[], peer: readonly TestResult[]): number {
  const ran = options.only === undefined ? peer : peer.filter(({ test }) => here.some((own) => own.test === test));
  const { wanted, met, lost, lostElsewhere, gained } = compare(here, ran, (test) => isElsewhere(name, test));
  for (const { test, why } of lost) console.log(`LOST ${test}\n     ${reason(why)}`);
  for (const { test, why } of lostElsewhere) console.log(`lost (another part's) ${test}\n     ${reason(why)}`);
  for (const test of gained) console.log(`gained ${test}`);
  const line = (who: string, results: readonly TestResult[]) => {
    const { pass, fail, skip } = totals(results);
    console.log(`${who}: ${pass} passed, ${fail} failed, ${skip} skipped`);
  };
  line("peer", ran);
  line("here", here);
  const percent = wanted === 0 ? 100 : (100 * met) / wanted;
  console.log(
    `${met} of the peer's ${wanted} passes: ${percent.toFixed(1)} % (and ${lostElsewhere.length} lost in other parts)`,
  );
  return percent >= 95 ? 0 : 1;
}
