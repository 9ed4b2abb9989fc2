// What is measured: each case gives milliseconds (or bytes) for one round on one engine.
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ended } from "@berth/testkit";
import { BIG, BUSYBOX, type Engine } from "./engines.ts";
import { pss } from "./memory.ts";

export interface Case {
  readonly name: string;
  readonly unit: "ms" | "bytes";
  /** Rounds of each engine, taken in turn. */
  readonly rounds: number;
  /** Ratio to Docker's figure that this project wants. */
  readonly wanted: number;
  /** One round. */
  measure(engine: Engine): Promise<number>;
  before?(engine: Engine): Promise<void>;
  after?(engine: Engine): Promise<void>;
}

const STREAM_BYTES = 200_000_000;
const LOG_BYTES = 100_000_000;
const LINE = "The quick brown fox jumps over the lazy dog and runs through the container's standard output, on and on";

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function lifecycle(engine: Engine): Promise<void> {
  const { Id } = await engine.api.must<{ Id: string }>("POST", "/v1.44/containers/create", {
    Image: BUSYBOX,
    Cmd: ["true"],
  });
  await engine.api.must("POST", `/v1.44/containers/${Id}/start`);
  await engine.api.must("POST", `/v1.44/containers/${Id}/wait`);
  await engine.api.must("DELETE", `/v1.44/containers/${Id}`);
}

async function burst(engine: Engine, total: number, width: number): Promise<void> {
  let left = total;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) await lifecycle(engine);
    }),
  );
}

/** Reads a CLI's whole output, counting. */
async function drain(engine: Engine, args: readonly string[], wanted = STREAM_BYTES): Promise<void> {
  const child = engine.docker.start(args);
  child.stdin.end();
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  child.stderr.resume();
  const [code] = await ended(child);
  if (code !== 0 || bytes !== wanted) throw new Error(`${engine.name}: exit ${code}, ${bytes} bytes of ${wanted}`);
}

/** Sends bytes through a CLI's stdin; the container counts them. */
async function feed(engine: Engine): Promise<void> {
  const child = engine.docker.start(["run", "--rm", "-i", "--network", "none", BUSYBOX, "wc", "-c"]);
  const source = spawn("head", ["-c", String(STREAM_BYTES), "/dev/zero"], { stdio: ["ignore", "pipe", "inherit"] });
  source.stdout.pipe(child.stdin);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr.resume();
  const [code] = await ended(child);
  if (code !== 0 || Number(text) !== STREAM_BYTES) throw new Error(`${engine.name}: exit ${code}, counted ${text}`);
}

const targetOf = (engine: Engine, what: string): string =>
  `bench-${what}-${createHash("sha1").update(engine.name).digest("hex").slice(0, 6)}`;
const execTarget = (engine: Engine): string => targetOf(engine, "exec");
const statsTarget = (engine: Engine): string => targetOf(engine, "stats");

/** One after the other, without the second's look back that `docker stats` waits for. */
async function readStats(engine: Engine, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await engine.api.must("GET", `/v1.44/containers/${statsTarget(engine)}/stats?stream=false&one-shot=true`);
  }
}

/** What `docker exec` asks for, without the docker CLI, which takes about half of Docker's own time for it. */
async function execByApi(engine: Engine): Promise<void> {
  const asked = { AttachStdout: true, AttachStderr: true, Cmd: ["true"] };
  const { Id } = await engine.api.must<{ Id: string }>("POST", `/v1.44/containers/${execTarget(engine)}/exec`, asked);
  await engine.api.must("POST", `/v1.44/exec/${Id}/start`, {});
  const { Running, ExitCode } = await engine.api.must<{ Running: boolean; ExitCode: number | null }>(
    "GET",
    `/v1.44/exec/${Id}/json`,
  );
  if (Running || ExitCode !== 0) throw new Error(`${engine.name}: exec ended with ${ExitCode}, running ${Running}`);
}

async function beginExecs(engine: Engine): Promise<void> {
  await engine.docker.must(["run", "-d", "--name", execTarget(engine), BUSYBOX, "sleep", "1000"]);
}

async function endExecs(engine: Engine): Promise<void> {
  await engine.docker.must(["rm", "-f", execTarget(engine)]);
}

const copyTarget = (engine: Engine): string => execTarget(engine).replace("exec", "cp");
const copyFile = join(tmpdir(), `berth-bench-cp-${process.pid}`);

async function beginCopies(engine: Engine): Promise<void> {
  await writeFile(copyFile, randomBytes(STREAM_BYTES));
  await engine.docker.must(["run", "-d", "--name", copyTarget(engine), BUSYBOX, "sleep", "1000"]);
}

async function endCopies(engine: Engine): Promise<void> {
  await engine.docker.must(["rm", "-f", copyTarget(engine)]);
  await Promise.all([copyFile, `${copyFile}.out`].map((file) => rm(file, { force: true })));
}

const logTarget = (engine: Engine): string => execTarget(engine).replace("exec", "logs");

const IDLE = 20;

async function memoryOfContainers(engine: Engine): Promise<number> {
  const before = await pss(await engine.processes());
  const ids: string[] = [];
  for (let i = 0; i < IDLE; i++) {
    ids.push((await engine.docker.must(["run", "-d", "--network", "none", BUSYBOX, "sleep", "1000"])).trim());
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const after = await pss(await engine.processes());
  await engine.docker.must(["rm", "-f", ...ids], { timeoutMs: 120_000 });
  return (after - before) / IDLE;
}

const run =
  (...options: string[]) =>
  (engine: Engine): Promise<number> =>
    timed(() => engine.docker.must(["run", "--rm", ...options, BUSYBOX, "true"]));

export const CASES: readonly Case[] = [
  {
    name: "memory idle",
    unit: "bytes",
    rounds: 3,
    wanted: 3,
    measure: async (engine) => pss(await engine.processes()),
  },
  { name: "run --rm busybox true (bridge)", unit: "ms", rounds: 11, wanted: 0.5, measure: run() },
  { name: "run --rm busybox true (none)", unit: "ms", rounds: 11, wanted: 0.5, measure: run("--network", "none") },
  {
    name: "API create+start+wait+rm",
    unit: "ms",
    rounds: 15,
    wanted: 0.35,
    measure: (engine) => timed(() => lifecycle(engine)),
  },
  {
    name: "40 of these, 8 at a time",
    unit: "ms",
    rounds: 3,
    wanted: 0.35,
    measure: (engine) => timed(() => burst(engine, 40, 8)),
  },
  {
    name: "exec true",
    unit: "ms",
    rounds: 15,
    wanted: 0.6,
    before: beginExecs,
    measure: (engine) => timed(() => engine.docker.must(["exec", execTarget(engine), "true"])),
    after: endExecs,
  },
  {
    name: "exec true by API",
    unit: "ms",
    rounds: 25,
    wanted: 0.5,
    before: beginExecs,
    measure: (engine) => timed(() => execByApi(engine)),
    after: endExecs,
  },
  {
    name: "stats, 10 readings of one container",
    unit: "ms",
    rounds: 11,
    wanted: 1,
    before: async (engine) => {
      await engine.docker.must(["run", "-d", "--name", statsTarget(engine), BUSYBOX, "sleep", "1000"]);
    },
    measure: (engine) => timed(() => readStats(engine, 10)),
    after: async (engine) => {
      await engine.docker.must(["rm", "-f", statsTarget(engine)]);
    },
  },
  {
    name: "200 MB stdout",
    unit: "ms",
    rounds: 3,
    wanted: 0.4,
    measure: (engine) =>
      timed(() =>
        drain(engine, [
          "run",
          "--rm",
          "--network",
          "none",
          BUSYBOX,
          "sh",
          "-c",
          `yes "${LINE}" | head -c ${STREAM_BYTES}`,
        ]),
      ),
  },
  {
    name: "logs of 100 MB",
    unit: "ms",
    rounds: 3,
    wanted: 0.4,
    before: async (engine) => {
      const script = `yes "${LINE}" | head -c ${LOG_BYTES}`;
      const options = ["--name", logTarget(engine), "--network", "none"];
      await engine.docker.must(["run", "-d", ...options, BUSYBOX, "sh", "-c", script]);
      await engine.docker.must(["wait", logTarget(engine)], { timeoutMs: 120_000 });
    },
    measure: (engine) => timed(() => drain(engine, ["logs", logTarget(engine)], LOG_BYTES)),
    after: async (engine) => {
      await engine.docker.must(["rm", "-f", logTarget(engine)]);
    },
  },
  { name: "200 MB stdin", unit: "ms", rounds: 5, wanted: 1, measure: (engine) => timed(() => feed(engine)) },
  {
    name: "cp 200 MB in",
    unit: "ms",
    rounds: 5,
    wanted: 1,
    before: beginCopies,
    measure: (engine) => timed(() => engine.docker.must(["cp", "-q", copyFile, `${copyTarget(engine)}:/big`])),
    after: endCopies,
  },
  {
    name: "cp 200 MB out",
    unit: "ms",
    rounds: 5,
    wanted: 1,
    before: async (engine) => {
      await beginCopies(engine);
      await engine.docker.must(["cp", "-q", copyFile, `${copyTarget(engine)}:/big`]);
    },
    measure: (engine) => timed(() => engine.docker.must(["cp", "-q", `${copyTarget(engine)}:/big`, `${copyFile}.out`])),
    after: endCopies,
  },
  {
    name: "pull 400 MB, 4 layers, 80,000 files",
    unit: "ms",
    rounds: 3,
    wanted: 0.6,
    measure: async (engine) => {
      const took = await timed(() => engine.docker.must(["pull", "-q", BIG], { timeoutMs: 300_000 }));
      await engine.docker.must(["rmi", BIG], { timeoutMs: 120_000 });
      return took;
    },
  },
  { name: "memory a container", unit: "bytes", rounds: 1, wanted: 0.3, measure: memoryOfContainers },
];
