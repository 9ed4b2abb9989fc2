// One container under test, and what it must be like.
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { extract, pack } from "tar-stream";
import type { Api } from "../api.ts";
import { attempt, insist, isInterrupted, type Outcome, patienceMs, retryEveryMs, unframe } from "./calls.ts";

export type Status = "created" | "running" | "paused" | "exited";

/** Says a number every 50 ms, and ends well when asked to. */
const program = ["trap 'exit 0' TERM", "n=0", 'while :; do n=$((n+1)); echo "tick $n"; sleep 0.05; done'].join("; ");

const version = "/v1.44";

/** ms; a stop takes no longer with this program, nor does a restart */
const restMs = 1_500;

/** The engine gave an answer that can't be right. */
export class WrongAnswer extends Error {
  override readonly name = "WrongAnswer";
}

const isTaken = (outcome: Outcome): boolean => !isInterrupted(outcome) && outcome.status === 409;

export interface Surroundings {
  readonly api: Api;
  readonly image: string;
  /** How often the gateway was killed so far. */
  gatewayDeaths(): number;
}

export class Subject {
  readonly name: string;
  readonly #api: Api;
  readonly #image: string;
  readonly #gatewayDeaths: () => number;
  status: Status = "created";
  /** How often the program was begun; undefined when a start was interrupted. */
  #starts: number | undefined = 0;
  /** The program was killed while a line was on its way. */
  interrupted = 0;

  constructor(name: string, { api, image, gatewayDeaths }: Surroundings) {
    this.name = name;
    this.#api = api;
    this.#image = image;
    this.#gatewayDeaths = gatewayDeaths;
  }

  async create(): Promise<void> {
    const body = { Image: this.#image, Cmd: ["sh", "-c", program], Labels: { "berth.soak": this.name } };
    let takenSince: number | undefined;
    for (;;) {
      const outcome = await attempt(this.#api, "POST", `${version}/containers/create?name=${this.name}`, body);
      if (!isTaken(outcome)) takenSince = undefined;
      if (isInterrupted(outcome)) {
        this.interrupted++;
        if ((await this.look()) !== undefined) return;
        await sleep(retryEveryMs);
        continue;
      }
      // The call before this one is carried out after all, or still holds the name and will give it back.
      if (isTaken(outcome) && this.interrupted > 0) {
        if ((await this.look()) !== undefined) return;
        takenSince ??= Date.now();
        const seconds = (Date.now() - takenSince) / 1000;
        if (seconds * 1000 > patienceMs)
          throw new WrongAnswer(`${this.name} is taken for ${seconds} s by no container`);
        await sleep(retryEveryMs);
        continue;
      }
      if (outcome.status !== 201) throw new WrongAnswer(`create ${this.name}: ${outcome.status} ${outcome.text}`);
      return;
    }
  }

  /** Asks for a change. The answer's status must be one of `good`; afterwards the container must be in one of the states `then`. */
  async change(path: string, good: readonly number[], ...then: Status[]): Promise<void> {
    const before = this.status;
    const outcome = await attempt(this.#api, "POST", `${version}/containers/${this.name}/${path}`);
    const starts = path.startsWith("start") || path.startsWith("restart");
    if (isInterrupted(outcome)) {
      this.interrupted++;
      await this.#rest();
      await this.settle(starts ? [before, ...then, "exited"] : [before, ...then]);
      if (starts) this.#starts = undefined;
      return;
    }
    if (!good.includes(outcome.status))
      throw new WrongAnswer(`${path} of ${this.name} (${before}): ${outcome.status} ${outcome.text}`);
    if (starts && this.#starts !== undefined) this.#starts++;
    await this.settle(then);
  }

  /** What an interrupted call began may go on, and come to its end later: waits until the state stays. */
  async #rest(): Promise<void> {
    for (let last = await this.look(); ; ) {
      await sleep(restMs);
      const now = await this.look();
      if (now === last) return;
      last = now;
    }
  }

  /** Takes over what the engine says, if that is one of `allowed`. */
  async settle(allowed: readonly Status[]): Promise<void> {
    const status = await this.look();
    if (status === undefined) throw new WrongAnswer(`${this.name} is lost`);
    if (!allowed.includes(status)) throw new WrongAnswer(`${this.name} is ${status}, expected ${allowed.join(" or ")}`);
    this.status = status;
  }

  /** Undefined: there is none. */
  async look(): Promise<Status | undefined> {
    const answer = await insist(this.#api, "GET", `${version}/containers/${this.name}/json`);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw new WrongAnswer(`inspect ${this.name}: ${answer.status} ${answer.text}`);
    return (answer.json as { State: { Status: Status } }).State.Status;
  }

  /** The list has it once. */
  async listed(): Promise<void> {
    const filters = encodeURIComponent(JSON.stringify({ label: [`berth.soak=${this.name}`] }));
    const answer = await insist(this.#api, "GET", `${version}/containers/json?all=1&filters=${filters}`);
    const rows = answer.json as { Names: string[]; State: Status }[];
    if (answer.status !== 200 || rows.length !== 1 || rows[0]?.State !== this.status)
      throw new WrongAnswer(`list of ${this.name} (${this.status}): ${answer.status} ${answer.text}`);
  }

  /** Runs a program in it; undefined when that was interrupted. */
  async exec(script: string): Promise<{ exitCode: number; stdout: string } | undefined> {
    const body = { AttachStdout: true, AttachStderr: true, Cmd: ["sh", "-c", script] };
    const made = await attempt(this.#api, "POST", `${version}/containers/${this.name}/exec`, body);
    if (isInterrupted(made)) return this.#broken();
    if (made.status !== 201) throw new WrongAnswer(`exec create in ${this.name}: ${made.status} ${made.text}`);
    const { Id } = made.json as { Id: string };
    const deaths = this.#gatewayDeaths();
    const ran = await attempt(this.#api, "POST", `${version}/exec/${Id}/start`, { Detach: false, Tty: false });
    // A raw stream ends with its connection: that the gateway's death cut it, nobody sees in it.
    if (isInterrupted(ran) || this.#gatewayDeaths() !== deaths) return this.#broken();
    if (ran.status !== 200) throw new WrongAnswer(`exec start in ${this.name}: ${ran.status} ${ran.text}`);
    const seen = await insist(this.#api, "GET", `${version}/exec/${Id}/json`);
    const { ExitCode, Running } = seen.json as { ExitCode: number | null; Running: boolean };
    if (seen.status !== 200 || Running || ExitCode === null)
      throw new WrongAnswer(`exec inspect in ${this.name}: ${seen.status} ${seen.text}`);
    return { exitCode: ExitCode, stdout: unframe(ran.bytes, 1) };
  }

  /** Copies a file in, and out again. */
  async copy(file: string, content: Buffer): Promise<void> {
    const archive = pack();
    archive.entry({ name: file }, content);
    archive.finalize();
    const packed = await buffer(archive);
    const into = await attempt(this.#api, "PUT", `${version}/containers/${this.name}/archive?path=/`, packed);
    if (isInterrupted(into)) return this.#broken();
    if (into.status !== 200) throw new WrongAnswer(`cp to ${this.name}: ${into.status} ${into.text}`);
    const out = await insist(this.#api, "GET", `${version}/containers/${this.name}/archive?path=/${file}`);
    if (out.status !== 200) throw new WrongAnswer(`cp from ${this.name}: ${out.status} ${out.text}`);
    const found = await unpack(out.bytes);
    if (found.length !== 1 || found[0]?.name !== file || !content.equals(found[0].content)) {
      const seen = found.map(({ name, content: { length } }) => `${name} of ${length} bytes`).join(", ");
      throw new WrongAnswer(`cp from ${this.name}: ${seen}; ${file} of ${content.length} bytes was copied in`);
    }
  }

  #broken(): undefined {
    this.interrupted++;
    return undefined;
  }

  /** Each number once, in order, from 1 for each start. */
  async checkLog(): Promise<void> {
    const answer = await insist(this.#api, "GET", `${version}/containers/${this.name}/logs?stdout=1`);
    if (answer.status !== 200) throw new WrongAnswer(`logs of ${this.name}: ${answer.status} ${answer.text}`);
    let starts = 0;
    let last = 0;
    for (const line of unframe(answer.bytes, 1).split("\n").slice(0, -1)) {
      const number = Number(/^tick (\d+)$/.exec(line)?.[1]);
      if (number === 1) starts++;
      else if (number !== last + 1) throw new WrongAnswer(`the log of ${this.name} has "${line}" after tick ${last}`);
      last = number;
    }
    // One that was stopped at once may not have said anything.
    if (this.#starts !== undefined && starts > this.#starts)
      throw new WrongAnswer(`the log of ${this.name} tells of ${starts} starts, there were ${this.#starts}`);
  }

  async remove(): Promise<void> {
    for (;;) {
      const outcome = await attempt(this.#api, "DELETE", `${version}/containers/${this.name}?force=1`);
      if (isInterrupted(outcome) || outcome.status === 409) {
        this.interrupted++;
        await sleep(retryEveryMs);
        continue;
      }
      if (outcome.status === 404 && this.interrupted > 0) return;
      if (outcome.status !== 204) throw new WrongAnswer(`rm ${this.name}: ${outcome.status} ${outcome.text}`);
      if ((await this.look()) !== undefined) throw new WrongAnswer(`${this.name} is still there after rm`);
      return;
    }
  }
}

async function unpack(archive: Buffer): Promise<{ name: string; content: Buffer }[]> {
  const found: { name: string; content: Buffer }[] = [];
  const entries = extract();
  entries.end(archive);
  for await (const entry of entries) found.push({ name: entry.header.name, content: await buffer(entry) });
  return found;
}
