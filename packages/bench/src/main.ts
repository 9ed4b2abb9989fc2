// npm run bench [-- --only TEXT] [--rounds N] [--json FILE]: Berth and, where it can be had, a real Docker Engine in one run; then several hosts.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findDocker } from "@berth/testkit";
import { CASES, type Case } from "./cases.ts";
import {
  BUSYBOX,
  dockerFor,
  type Engine,
  findPeer,
  prepareDirectory,
  REGISTRY_PORT,
  startBerth,
  startPeer,
} from "./engines.ts";
import { benchHosts } from "./hosts.ts";
import { fillRegistry } from "./images.ts";
import { LIST_CASES } from "./lists.ts";
import { formatBytes, formatMs, median } from "./stats.ts";

interface Row {
  readonly name: string;
  readonly unit: Case["unit"];
  readonly wanted: number;
  readonly medians: Readonly<Record<string, number>>;
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    rounds: { type: "string" },
    json: { type: "string" },
    containers: { type: "string", default: "500" },
    creates: { type: "string", default: "1000" },
    help: { type: "boolean" },
  },
});

if (options.help) {
  console.log(`Usage: npm run bench -- [--only TEXT] [--rounds N] [--json FILE] [--containers N] [--creates N]

Runs each case on Berth and on Docker in turn and prints medians and their ratio.
Then five hosts (network namespaces) beside one, by themselves with --only hosts: a container's life through a second host, a list of
N containers over all, N creates over one to five.
The Docker side needs a script that starts one, named in BERTH_PEER_ENGINE; it is left out where there is none.

  npm run bench -- --only pull --rounds 1`);
} else {
  if (options.only !== "hosts") process.exitCode = await main();
  if (options.only === undefined || options.only === "hosts")
    await benchHosts({
      containers: Number(options.containers),
      creates: Number(options.creates),
      rounds: Number(options.rounds ?? 30),
    });
}

async function main(): Promise<number> {
  const registryDir = await prepareDirectory(
    process.env["BERTH_BENCH_CACHE"] ?? join(import.meta.dirname, "../../../.cache/bench"),
  );
  console.error("preparing images …");
  await fillRegistry(registryDir, REGISTRY_PORT + 1);
  const peerScript = await findPeer();
  if (peerScript === undefined)
    console.error("no Docker Engine to compare with (BERTH_PEER_ENGINE): Berth's own figures only");
  const engines: Engine[] = [];
  try {
    const docker = await dockerFor(peerScript, findDocker);
    engines.push(await startBerth(registryDir, docker));
    if (peerScript !== undefined) engines.push(await startPeer(peerScript, registryDir));
    for (const engine of engines) await engine.docker.must(["pull", "-q", BUSYBOX]);
    const rows: Row[] = [];
    for (const item of [...CASES, ...LIST_CASES]) {
      if (options.only !== undefined && !item.name.includes(options.only)) continue;
      rows.push(await measure(item, engines));
      print(rows.at(-1) as Row);
    }
    if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(rows, null, 2)}\n`);
    return 0;
  } finally {
    for (const engine of engines.reverse()) await engine.stop();
  }
}

/** Rounds of the engines are interleaved, so that a slow minute of the machine hits both. */
async function measure(item: Case, engines: readonly Engine[]): Promise<Row> {
  const rounds = options.rounds === undefined ? item.rounds : Number(options.rounds);
  const figures = new Map<string, number[]>(engines.map((engine) => [engine.name, []]));
  for (const engine of engines) await item.before?.(engine);
  for (let round = 0; round < rounds; round++) {
    for (const engine of round % 2 === 0 ? engines : [...engines].reverse()) {
      figures.get(engine.name)?.push(await item.measure(engine));
    }
  }
  for (const engine of engines) await item.after?.(engine);
  const medians = Object.fromEntries([...figures].map(([name, list]) => [name, median(list)]));
  return { name: item.name, unit: item.unit, wanted: item.wanted, medians };
}

function print(row: Row): void {
  const format = row.unit === "ms" ? formatMs : formatBytes;
  const berth = row.medians["berth"] ?? Number.NaN;
  const docker = row.medians["docker"];
  const ratio = docker === undefined ? "-" : (berth / docker).toFixed(2);
  const columns = [
    row.name.padEnd(38),
    format(berth).padStart(10),
    format(docker ?? Number.NaN).padStart(10),
    ratio.padStart(7),
  ];
  console.log(`${columns.join("  ")}   wanted ≤ ${row.wanted}`);
}
