// Hours of random work by several clients while services die, and a look at what is left.
import { setTimeout as sleep } from "node:timers/promises";
import { openBed } from "../bed.ts";
import { killServices } from "./chaos.ts";
import { liveLives, type Tally } from "./client.ts";
import { Random } from "./random.ts";
import { growth, holding, leftOnDisk, totalOf } from "./remains.ts";
import { Subject } from "./subject.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
  /** Hears every minute what was done so far. */
  readonly tell?: (line: string) => void;
}

export interface SoakReport extends Tally {
  readonly killed: Map<string, number>;
  /** PSS of all services when they had warmed up, and at the end; bytes. */
  readonly memory: readonly [before: number, after: number];
}

/** Services collect their garbage after 5 s of rest (@berth/rpc). */
const restMs = 7_000;
/** Lives that each client lives before the first look: code is compiled, caches are filled. */
const warmUpMs = 3_000;
const tellEveryMs = 60_000;

/** Throws at the first wrong answer, and when anything is left behind or has grown. */
export async function soak({ seconds, clients, seed, tell }: SoakOptions): Promise<SoakReport> {
  const bed = await openBed();
  const tally: Tally = { lives: 0, interrupted: 0, operations: new Map() };
  const calm = new AbortController();
  let failed = true;
  try {
    const killed = new Map<string, number>();
    const gatewayDeaths = () => killed.get("gateway") ?? 0;
    const image = await bed.pull("busybox");
    const work = async (ms: number, from: number) => {
      const until = Date.now() + ms;
      const isOver = () => calm.signal.aborted || Date.now() >= until;
      const live = async (index: number) => {
        const subject = (life: number) => new Subject(`soak-${index}-${life}`, { api: bed.api, image, gatewayDeaths });
        try {
          await liveLives(bed, subject, new Random(seed + index * 7919), isOver, tally);
        } catch (error) {
          calm.abort();
          throw error;
        }
      };
      // Each is waited for: what one still makes while the engine is stopped would stay.
      const ends = await Promise.allSettled(Array.from({ length: clients }, (_, index) => live(from + index)));
      const failure = ends.find((end) => end.status === "rejected");
      if (failure) throw failure.reason;
    };
    await work(warmUpMs, 0);
    await sleep(restMs);
    const before = await holding(bed.engine);
    const started = performance.now();
    const minutes = () => ((performance.now() - started) / 60_000).toFixed(1);
    const report = async () => {
      // A service that is dead at this moment has none.
      const { memory = {} } = await holding(bed.engine).catch(() => ({ memory: undefined }));
      const words = Object.entries(memory).map(([service, bytes]) => `${service} ${Math.round(bytes / 1e6)} MB`);
      tell?.(`${minutes()} min: ${tally.lives} containers lived; ${words.join(", ")}`);
    };
    const telling = setInterval(() => void report(), tellEveryMs);
    const killing = killServices(bed.engine, new Random(seed), calm.signal, killed);
    const worked = work(seconds * 1000, clients);
    try {
      await Promise.race([worked, killing]);
    } finally {
      clearInterval(telling);
      calm.abort();
      await Promise.allSettled([worked, killing]);
    }
    // A client's failure ends the killing as well, which is the first to be over then.
    await worked;
    await killing;
    tell?.(`${minutes()} min: the clients are done`);
    await sleep(restMs);
    const after = await holding(bed.engine);
    const grown = growth(before, after);
    if (grown.length > 0) throw new Error(`grown after ${tally.lives} containers:\n${grown.join("\n")}`);
    failed = false;
    return { ...tally, killed, memory: [totalOf(before), totalOf(after)] };
  } finally {
    calm.abort();
    await closeBed(bed, failed);
  }
}

/** After a failure the first error is the one to tell: what is left behind then is no news. */
async function closeBed(bed: Awaited<ReturnType<typeof openBed>>, failed: boolean): Promise<void> {
  let left: string[] = [];
  await bed
    .close(async ({ engine }) => {
      left = await leftOnDisk(engine.root);
    })
    .catch((error: unknown) => {
      if (!failed) throw error;
    });
  if (!failed && left.length > 0) throw new Error(`left on disk:\n${left.join("\n")}`);
}
