// An engine under clients that mean no good: what it answers, what it costs, and what is left.
import { readdir, readFile } from "node:fs/promises";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bed, openBed } from "../bed.ts";
import { eventually } from "../process.ts";
import { Random } from "../soak/random.ts";
import { dawdlers, dropHalfWay, flood } from "./abuse.ts";
import { endpoints } from "./endpoints.ts";
import { type HostileRequest, hostileRequest } from "./mutate.ts";

export interface HostileOptions {
  readonly seed: number;
  /** Bad requests, over all endpoints. */
  readonly requests: number;
  /** Connections opened and dropped half-way. */
  readonly drops: number;
  /** bytes of each far too large body */
  readonly floodBytes: number;
}

export interface HostileReport {
  /** Answers by status. */
  readonly statuses: Map<number, number>;
  /** bytes of the gateway's memory before and after */
  readonly memory: readonly [before: number, after: number];
}

/** bytes that the gateway may hold more than before: compiled code and warm buffers, far less than one flood. */
const memorySlack = 80 * 1024 * 1024;
const fdSlack = 8;
const parallel = 8;

/** @throws with the answers that bad requests must not get, and when anything is left behind or has grown */
export async function hostile(options: HostileOptions): Promise<HostileReport> {
  const bed = await openBed();
  let failed = true;
  try {
    await bed.pull("busybox");
    const random = new Random(options.seed);
    // Code is compiled and buffers are there before anything is measured.
    await fuzz(bed, Math.min(200, options.requests), random, new Map());
    const before = await cost(bed);
    const there = await contents(bed);
    const statuses = new Map<number, number>();
    await fuzz(bed, options.requests, random, statuses);
    await dropHalfWay(bed.engine.socket, options.drops, random);
    await slowClients(bed);
    for (const target of ["/containers/create", "/auth", "/commit", "/images/load", "/containers/x/exec"]) {
      const { status } = await flood(bed.engine.socket, target, options.floodBytes);
      // 0: closed while the client still sent, which is an answer too. What is wrong with an archive is told in the stream.
      const isFine = status === 0 || (target === "/images/load" ? status === 200 : status >= 400 && status !== 500);
      if (!isFine) throw new Error(`POST ${target}, far too large: ${status}`);
    }
    await removeWhatWasMade(bed, there);
    const after = await settled(bed, before);
    const left = await contents(bed);
    if (left !== there) throw new Error(`bad requests changed what there is:\n${there}\n${left}`);
    failed = false;
    return { statuses, memory: [before.memory, after.memory] };
  } finally {
    await bed.close().catch((error: unknown) => {
      if (!failed) throw error;
    });
  }
}

/** Bad input that Docker 28.5 itself answers with 500, in these words; clients know it so. */
const dockerSays500 = [/"strconv\.(Atoi|ParseInt): parsing /, /"message":"Get \\"https?:\/\//];

async function fuzz(bed: Bed, count: number, random: Random, statuses: Map<number, number>): Promise<void> {
  const requests = Array.from({ length: count }, (_, index) =>
    hostileRequest(endpoints[index % endpoints.length] as (typeof endpoints)[number], random),
  );
  const wrong: string[] = [];
  const work = async () => {
    for (let next = requests.pop(); next !== undefined; next = requests.pop()) {
      const { status, text } = await send(bed.engine.socket, next);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status >= 500 && status !== 501 && status !== 503 && !dockerSays500.some((words) => words.test(text))) {
        wrong.push(`${next.method} ${next.path} ${String(next.body ?? "").slice(0, 500)}: ${status} ${text}`);
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  if (wrong.length > 0) throw new Error(`${wrong.length} wrong answers:\n${wrong.slice(0, 20).join("\n")}`);
}

function send(
  socketPath: string,
  { method, path, headers, body }: HostileRequest,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers, timeout: 20_000 }, (answer) => {
      let text = "";
      const done = () => resolve({ status: answer.statusCode ?? 0, text });
      answer.on("data", (chunk: Buffer) => {
        if (text.length < 1_000) text += chunk.toString("latin1");
      });
      answer.once("end", done).once("error", done);
    });
    call.once("upgrade", (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode ?? 0, text: "" });
    });
    call.once("timeout", () => call.destroy(new Error(`${method} ${path}: no answer`)));
    call.once("error", (error: NodeJS.ErrnoException) => {
      // An engine that has had enough of a body closes; that is an answer. Of what was no request it can't know that it was a HEAD.
      if (/^(EPIPE|ECONNRESET|HPE_CLOSED_CONNECTION)$/.test(error.code ?? "")) resolve({ status: 400, text: "closed" });
      else reject(new Error(`${method} ${path}: ${error.message}`, { cause: error }));
    });
    call.end(body);
  });
}

/** While some clients dawdle, others are served. */
async function slowClients(bed: Bed): Promise<void> {
  const { release } = await dawdlers(bed.engine.socket, 50);
  try {
    const start = performance.now();
    await bed.api.must("GET", "/containers/json?all=1");
    const took = performance.now() - start;
    if (took > 5_000) throw new Error(`a list took ${took} ms while 50 clients dawdled`);
  } finally {
    release();
  }
}

interface Cost {
  readonly fds: number;
  readonly memory: number;
}

async function cost(bed: Bed): Promise<Cost> {
  const pid = bed.engine.pidOf("gateway");
  const [fds, rollup] = await Promise.all([readdir(`/proc/${pid}/fd`), readFile(`/proc/${pid}/smaps_rollup`, "utf8")]);
  return { fds: fds.length, memory: Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) * 1024 };
}

/** Connections that were dropped are gone when the loop has turned; memory when it was collected at rest. */
function settled(bed: Bed, before: Cost): Promise<Cost> {
  return eventually(
    "the gateway is at rest again",
    async () => {
      const now = await cost(bed);
      if (now.fds > before.fds + fdSlack) throw new Error(`${now.fds} open files, before it had ${before.fds}`);
      if (now.memory > before.memory + memorySlack) throw new Error(`${now.memory} bytes, before ${before.memory}`);
      return now;
    },
    30_000,
    500,
  );
}

interface Named {
  Id?: string;
  Name?: string;
}

async function contents(bed: Bed): Promise<string> {
  const [containers, images, networks, volumes] = await Promise.all([
    bed.api.must<Named[]>("GET", "/containers/json?all=1"),
    bed.api.must<(Named & { RepoTags: string[] })[]>("GET", "/images/json?all=1"),
    bed.api.must<Named[]>("GET", "/networks"),
    bed.api.must<{ Volumes: Named[] | null }>("GET", "/volumes"),
  ]);
  const sorted = (list: readonly Named[]) => list.map(({ Id, Name }) => Id ?? Name).sort();
  const tags = images.flatMap(({ RepoTags }) => RepoTags).sort();
  return JSON.stringify([sorted(containers), sorted(images), tags, sorted(networks), sorted(volumes.Volumes ?? [])]);
}

/** What was asked for by chance in a way that is allowed (a volume named "x") is there rightly, and goes. */
async function removeWhatWasMade(bed: Bed, there: string): Promise<void> {
  const remove = async (path: string) => void (await bed.api.call("DELETE", path));
  for (const { Id = "" } of await bed.api.must<Named[]>("GET", "/containers/json?all=1")) {
    if (!there.includes(Id)) await remove(`/containers/${Id}?force=1&v=1`);
  }
  for (const { Id = "" } of await bed.api.must<Named[]>("GET", "/images/json?all=1")) {
    if (!there.includes(Id)) await remove(`/images/${Id}?force=1`);
  }
  for (const { Id = "" } of await bed.api.must<Named[]>("GET", "/networks")) {
    if (!there.includes(Id)) await remove(`/networks/${Id}`);
  }
  const { Volumes } = await bed.api.must<{ Volumes: Named[] | null }>("GET", "/volumes");
  for (const { Name = "" } of Volumes ?? []) if (!there.includes(Name)) await remove(`/volumes/${Name}?force=1`);
  await sleep(100);
}
