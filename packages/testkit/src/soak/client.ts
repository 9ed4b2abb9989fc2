// A client that lives many containers' lives, one after the other, and looks at every answer.
import { setTimeout as sleep } from "node:timers/promises";
import type { Bed } from "../bed.ts";
import type { Random } from "./random.ts";
import { type Subject, WrongAnswer } from "./subject.ts";

export interface Tally {
  lives: number;
  /** Calls of which nobody can say whether they were carried out, because a service was killed during them. */
  interrupted: number;
  readonly operations: Map<string, number>;
}

type Operation = (subject: Subject, random: Random, bed: Bed) => Promise<void>;

/** What may be asked of a container that runs. */
const whileRunning: Record<string, Operation> = {
  exec: async (subject, random) => {
    const token = random.between(0, 1e9);
    const exitCode = random.between(0, 255);
    const result = await subject.exec(`echo ${token}; exit ${exitCode}`);
    if (result !== undefined && (result.stdout !== `${token}\n` || result.exitCode !== exitCode))
      throw new WrongAnswer(`exec in ${subject.name}: ${JSON.stringify(result)}, expected ${token} and ${exitCode}`);
  },
  logs: (subject) => subject.checkLog(),
  list: (subject) => subject.listed(),
  cp: (subject, random) => {
    const content = Buffer.alloc(random.between(0, 300_000), String(random.next()));
    return subject.copy(`file-${random.between(0, 9)}`, content);
  },
  pause: async (subject) => {
    await subject.change("pause", [204], "paused");
    if (subject.status === "paused") await subject.change("unpause", [204], "running");
  },
  restart: (subject) => subject.change("restart?t=2", [204], "running"),
  stop: (subject) => subject.change("stop?t=5", [204], "exited"),
  kill: (subject) => killAndWait(subject),
  idle: (_, random) => sleep(random.between(10, 200)),
};

async function killAndWait(subject: Subject): Promise<void> {
  while (subject.status === "running") {
    const before = subject.interrupted;
    // One that was interrupted may have been carried out, and then the next one finds nobody.
    await subject.change("kill", [204, 409], "running", "exited");
    // The answer to a kill does not wait for the death; wait does.
    if (subject.interrupted === before && subject.status === "running") await subject.change("wait", [200], "exited");
  }
}

/** Goes on until `isOver`, with what `random` says; `subjectOf` names each life's container. Throws WrongAnswer. */
export async function liveLives(
  bed: Bed,
  subjectOf: (life: number) => Subject,
  random: Random,
  isOver: () => boolean,
  tally: Tally,
): Promise<void> {
  for (let life = 0; !isOver(); life++) {
    const subject = subjectOf(life);
    await subject.create();
    if (random.next() < 0.9) await subject.change("start", [204], "running");
    for (let step = random.between(0, 12); step > 0 && !isOver(); step--) {
      if (subject.status === "paused") await subject.change("unpause", [204], "running");
      if (subject.status !== "running") {
        if (random.next() < 0.5) break;
        await subject.change("start", [204], "running");
        continue;
      }
      const name = random.pick(Object.keys(whileRunning));
      tally.operations.set(name, (tally.operations.get(name) ?? 0) + 1);
      await whileRunning[name]?.(subject, random, bed);
    }
    await subject.remove();
    tally.lives++;
    tally.interrupted += subject.interrupted;
  }
}
