// Hours of random work by several clients while services die, and a look at what is left.
import { setTimeout as sleep } from "node:timers/promises";
import { openBed } from "../bed.ts";
import { killServices } from "./chaos.ts";
import { liveLives, type Tally } from "./client.ts";
import { Random } from "./random.ts";
import { growth, holding, leftOnDisk } from "./remains.ts";
import { Subject } from "./subject.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly clients: number;
  readonly seed: number;
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

/** Throws at the first wrong answer, and when anything is left behind or has grown. */
export async function soak({ seconds, clients, seed }: SoakOptions): Promise<SoakReport> {
  const bed = await openBed();
  const tally: Tally = { lives: 0, interrupted: 0, operations: new Map() };
  const calm = new AbortController();
  let failed = true;
  try {
    const killed = new Map<string, number>();
    const gatewayDeaths = () => killed.get("gateway") ?? 0;
    const image = await bed.pull("busybox");
    const work = (until: number, from: number) =>
      Promise.all(
        Array.from({ length: clients }, (_, index) => {
          const subject = (life: number) =>
            new Subject(`soak-${from + index}-${life}`, { api: bed.api, image, gatewayDeaths });
          return liveLives(bed, subject, new Random(seed + (from + index) * 7919), until, tally);
        }),
      );
    await work(Date.now() + warmUpMs, 0);
    await sleep(restMs);
    const before = await holding(bed.engine);
    const killing = killServices(bed.engine, new Random(seed), calm.signal, killed);
    const worked = work(Date.now() + seconds * 1000, clients);
    try {
      await Promise.race([worked, killing]);
    } finally {
      calm.abort();
    }
    await killing;
    await worked;
    await sleep(restMs);
    const after = await holding(bed.engine);
    const grown = growth(before, after);
    if (grown.length > 0) throw new Error(`grown after ${tally.lives} containers:\n${grown.join("\n")}`);
    failed = false;
    return { ...tally, killed, memory: [before.memory, after.memory] };
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
