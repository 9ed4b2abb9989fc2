// The docker client through its commands, with each answer held against Docker 28.5's: as recorded (recorded/*.json), and live
// where a Docker engine is at hand (BERTH_TEST_PEER names its socket). BERTH_TEST_RECORD=1 with a peer writes the records anew.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bed, busyboxRoot, must, openBed } from "../../../src/index.ts";
import { compared, readCases, type StepResult } from "../../../src/parity/cases.ts";
import { type ParityEngine, runCase } from "../../../src/parity/run.ts";

const casesDir = join(import.meta.dirname, "cases");
const recordOf = (file: string) => join(import.meta.dirname, "recorded", `${basename(file, ".txt")}.json`);
const peerSocket = process.env["BERTH_TEST_PEER"];
const recording = peerSocket !== undefined && process.env["BERTH_TEST_RECORD"] === "1";

let bed: Bed;
let berth: ParityEngine;
let peer: ParityEngine | undefined;

beforeAll(async () => {
  bed = await openBed();
  berth = { socket: bed.engine.socket, docker: bed.docker.file, enter: bed.netns.enter };
  // Its ports are in a namespace of its own; steps that connect to one find it by the container's address.
  peer = peerSocket === undefined ? undefined : { socket: peerSocket, docker: bed.docker.file, enter: [] };
  for (const engine of [berth, ...(peer === undefined ? [] : [peer])]) await importBusybox(engine);
}, 300_000);

afterAll(async () => {
  await bed?.close();
}, 120_000);

/** The same image on every engine, whatever registry there is. */
async function importBusybox({ socket, docker }: ParityEngine): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "berth-parity-image-"));
  try {
    await busyboxRoot(join(work, "root"));
    await must([
      "tar",
      "--numeric-owner",
      "--owner=0",
      "--group=0",
      "--mtime=@0",
      "-C",
      join(work, "root"),
      "-cf",
      join(work, "tar"),
      ".",
    ]);
    const changes = ["-c", 'CMD ["sh"]', "-c", "ENV PATH=/usr/bin:/bin"];
    await must([docker, "-H", `unix://${socket}`, "import", ...changes, join(work, "tar"), "busybox:latest"]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

for (const file of readdirSync(casesDir).filter((name) => name.endsWith(".txt"))) {
  describe(basename(file, ".txt"), async () => {
    const cases = await readCases(join(casesDir, file));
    const record: Record<string, Partial<StepResult>[]> = existsSync(recordOf(file))
      ? (JSON.parse(readFileSync(recordOf(file), "utf8")) as Record<string, Partial<StepResult>[]>)
      : {};

    it.each(cases)(
      "$name",
      async (item) => {
        const pick = (results: readonly StepResult[]) =>
          item.steps.map((step, index) => compared(step, results[index] as StepResult));
        const live = peer === undefined ? undefined : pick(await runCase(peer, item));
        if (recording && live !== undefined) record[item.name] = live;
        const wanted = live ?? record[item.name];
        if (wanted === undefined)
          throw new Error(`no record of "${item.name}": run with BERTH_TEST_PEER and BERTH_TEST_RECORD=1`);
        if (recording) return;
        const given = pick(await runCase(berth, item));
        expect(given).toEqual(wanted);
      },
      300_000,
    );

    afterAll(() => {
      if (recording) writeFileSync(recordOf(file), `${JSON.stringify(record, null, 1)}\n`);
    });
  });
}
