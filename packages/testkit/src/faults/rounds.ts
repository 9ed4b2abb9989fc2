// Rounds of faults at random over several hosts, and what must hold after each.
import { setTimeout as pause } from "node:timers/promises";
import { AttachReader } from "../attach-reader.ts";
import { type Host, type Hosts, openHosts } from "../hosts.ts";
import { LogReader } from "../log-reader.ts";
import { eventually } from "../process.ts";
import { Random } from "../soak/random.ts";
import { type Fault, faultsOf } from "./faults.ts";

export interface FaultOptions {
  readonly rounds: number;
  readonly seed: number;
  /** How long a host stays cut off, or dead, ms. */
  readonly holdMs: number;
  /** How many of the hosts, the first ones, have a NATS server: 1 or 3. */
  readonly nats: 1 | 3;
  /** Only faults with this in their names. */
  readonly only?: string | undefined;
  readonly say: (line: string) => void;
}

const services: Record<string, readonly string[]> = {
  host1: ["image-store", "snapshotter", "registry-proxy", "supervisor", "gateway"],
  host2: ["snapshotter", "supervisor", "gateway"],
  host3: ["snapshotter", "supervisor"],
};
/** ms; "right again within 10 s", and what a busy machine takes on top. */
const rightAgainMs = 30_000;
const talk = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; sleep 0.1; done; echo end $i";

/** Throws what did not hold, with the seed in its message. */
export async function strikeAtRandom(options: FaultOptions): Promise<void> {
  const { rounds, seed, holdMs, nats, only = "", say } = options;
  const random = new Random(seed);
  const hosts = await openHosts(3);
  const world = new World(hosts);
  // What is left behind then is not what went wrong.
  const close = () => hosts.close().catch((error: unknown) => say(`and then: ${error}`));
  try {
    await world.open();
    if (nats === 3) await world.growNats();
    const faults = faultsOf(hosts.all, (host) => world.start(host), holdMs);
    const next = dealer(
      faults.filter(({ name }) => name.includes(only)),
      random,
    );
    for (let round = 1; round <= rounds; round++) {
      const fault = next();
      say(`round ${round}: ${fault.name}`);
      try {
        await world.endure(fault, `r${round}`);
      } catch (error) {
        throw new Error(`round ${round}, ${fault.name} (seed ${seed}): ${(error as Error).message}`, { cause: error });
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  await hosts.close();
}

/** Deals out all of them in a random order before any comes again. */
function dealer<T>(items: readonly T[], random: Random): () => T {
  let deck: T[] = [];
  return () => {
    if (deck.length === 0) deck = [...items];
    return deck.splice(random.between(0, deck.length - 1), 1)[0] as T;
  };
}

/** A container that stands, as inspect shows it. */
interface Standing {
  readonly id: string;
  readonly node: string;
  /** "pid started", which only the death of its host may change. */
  life: string;
}

class World {
  readonly #hosts: Hosts;
  readonly #one: Host;
  readonly #two: Host;
  readonly #standing = new Map<string, Standing>();
  #image = "";

  constructor(hosts: Hosts) {
    this.#hosts = hosts;
    [this.#one, this.#two] = hosts.all as [Host, Host];
  }

  async open(): Promise<void> {
    this.#image = await this.#hosts.pushBusybox();
    await this.#one.start({ args: ["--advertise", this.#one.address] });
    for (const host of this.#hosts.all.slice(1)) await this.start(host, ["--join", await this.#one.token()]);
    await this.#one.docker.must(["pull", "-q", this.#image]);
    for (const host of this.#hosts.all)
      for (const kind of ["plain", "always"]) {
        const name = `${kind}-${host.name}`;
        const policy = kind === "always" ? ["--restart", "always"] : [];
        await this.#make(this.#one, name, host, [...policy, this.#image, "sleep", "100000"]);
        this.#standing.set(name, await this.#look(name));
      }
  }

  async growNats(): Promise<void> {
    await this.#hosts.berth(this.#one, ["node", "promote", "host2", "host3"]);
  }

  async start(host: Host, args: readonly string[] = []): Promise<void> {
    const own = services[host.name];
    await host.start({ args, ...(host === this.#one || own === undefined ? {} : { services: own }) });
  }

  /** One fault, with readers of logs and clients that are attached to containers of every host and names that two gateways are asked for; then everything is looked at. */
  async endure(fault: Fault, mark: string): Promise<void> {
    const talkers = this.#hosts.all.map((host) => ({ host, name: `talk-${mark}-${host.name}` }));
    for (const { host, name } of talkers)
      await this.#make(this.#two, name, host, ["--restart", "no", this.#image, "sh", "-c", talk]);
    const aborted = new AbortController();
    const readers = talkers.flatMap(({ name }) =>
      [this.#one, this.#two].map((at) => new LogReader(at.docker.socket, name)),
    );
    const attached = talkers.flatMap(({ name }) =>
      [this.#one, this.#two].map((at) => ({ name, reader: new AttachReader(at.docker.socket, name) })),
    );
    const reading = Promise.allSettled(readers.map((reader) => reader.run(aborted.signal)));
    const watching = Promise.allSettled(
      attached.map(({ name, reader }) =>
        reader.run(isEnd, (lines) => checkCount(`attached to ${name}`, lines), aborted.signal),
      ),
    );
    await eventually(
      "every reader reads",
      () => [...readers, ...attached.map(({ reader }) => reader)].every(({ lines }) => lines.length > 3) || undefined,
      20_000,
    );
    const names = this.#askForNames(mark);
    await fault.strike();
    const owners = await names;
    await this.#untilRight(fault, owners);
    for (const { host, name } of talkers) {
      if (fault.powerless === host) continue;
      // Detached: what ends with its container can't tell of its own end.
      await this.#one.docker.must(["exec", "-d", name, "touch", "/stop"]);
    }
    // A log whose container died with its host ends where it died.
    const late = new AbortController();
    await Promise.race([
      Promise.all([reading, watching]),
      pause(rightAgainMs, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
    aborted.abort();
    await reading;
    const ends = await watching;
    for (const [index, { host, name }] of talkers.entries())
      for (const end of ends.slice(2 * index, 2 * index + 2))
        if (end.status === "rejected" && !(fault.powerless === host && isAbort(end.reason)))
          throw new Error(`attached to ${name}: ${end.reason}`);
    for (const [index, { host, name }] of talkers.entries())
      for (const reader of readers.slice(2 * index, 2 * index + 2))
        this.#checkLines(name, reader, fault.powerless !== host);
    const all = [...talkers.map(({ name }) => name), ...owners.keys()];
    await this.#one.docker.must(["rm", "-f", ...all], { timeoutMs: 60_000 });
  }

  /** Both gateways are asked for the same names all through the fault: each name is one container's at most. */
  async #askForNames(mark: string): Promise<Map<string, string>> {
    const owners = new Map<string, string>();
    for (let i = 0; i < 12; i++) {
      const name = `name-${mark}-${i}`;
      const tries = await Promise.all(
        [this.#one, this.#two].map((at) =>
          at.docker.run(["create", "--name", name, this.#image, "true"], { timeoutMs: 90_000 }),
        ),
      );
      const made = tries.filter(({ code }) => code === 0).map(({ stdout }) => stdout.trim());
      if (made.length > 1) throw new Error(`${name} was given twice: ${made.join(", ")}`);
      if (made[0] !== undefined) owners.set(name, made[0]);
    }
    return owners;
  }

  /** Every container is there once, by its own id, as both gateways see it. */
  async #untilRight(fault: Fault, owners: ReadonlyMap<string, string>): Promise<void> {
    for (const at of [this.#one, this.#two])
      await eventually(
        `everything is right again at ${at.name}`,
        async () => {
          const listed = await at.docker.must(["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}} {{.State}}"]);
          const rows = listed
            .split("\n")
            .filter(Boolean)
            .map((line) => line.split(" "));
          const ids = new Map(rows.map(([name = "", id = ""]) => [name, id]));
          if (ids.size !== rows.length) throw new Error(`a name is there twice:\n${listed}`);
          if (rows.some(([, , state]) => state === "unreachable")) throw new Error(`some are unreachable:\n${listed}`);
          for (const [name, id] of owners)
            if (ids.get(name) !== id) throw new Error(`${name} is ${ids.get(name)}, not ${id}`);
          for (const [name, standing] of this.#standing) await this.#checkStanding(fault, name, standing);
          return true;
        },
        rightAgainMs,
        250,
      );
    for (const name of this.#standing.keys()) {
      if (name.startsWith("plain-")) await this.#one.docker.run(["start", name]);
      this.#standing.set(name, await this.#look(name));
    }
  }

  async #checkStanding(fault: Fault, name: string, { id, node, life }: Standing): Promise<void> {
    const now = await this.#look(name);
    if (now.id !== id || now.node !== node)
      throw new Error(`${name} is ${now.id} on ${now.node}, not ${id} on ${node}`);
    const died = fault.powerless?.name === node;
    const isUp = now.life.startsWith("running");
    if (!died && now.life !== life) throw new Error(`${name} was touched: ${life} -> ${now.life}`);
    if (died && name.startsWith("always-") && (!isUp || now.life === life))
      throw new Error(`${name} was not started again: ${now.life}`);
    if (died && name.startsWith("plain-") && isUp) throw new Error(`${name} is said to run: ${now.life}`);
  }

  #checkLines(name: string, reader: LogReader, isWhole: boolean): void {
    const lines = reader.lines.map(({ text }) => text.trimEnd());
    checkCount(`log of ${name}`, lines);
    const last = lines.at(-1) ?? "";
    if (isWhole && !isEnd(last)) throw new Error(`log of ${name} ends with "${last}" after ${lines.length}`);
  }

  async #look(name: string): Promise<Standing> {
    const format = "{{.Id}} {{.Node.Name}} {{.State.Status}} {{.State.Pid}} {{.State.StartedAt}}";
    const [id = "", node = "", ...life] = (await this.#two.docker.must(["inspect", "-f", format, name]))
      .trim()
      .split(" ");
    return { id, node, life: life.join(" ") };
  }

  #make(at: Host, name: string, on: Host, rest: readonly string[]): Promise<string> {
    return at.docker.must(["run", "-d", "--name", name, "-l", `berth.node=${on.name}`, ...rest], { timeoutMs: 60_000 });
  }
}

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";
const isEnd = (line: string): boolean => line.startsWith("end ");

/** What `talk` says is there from the beginning on, each line once. @throws what is not */
function checkCount(what: string, lines: readonly string[]): void {
  const said = lines.at(-1) ?? "";
  const counted = isEnd(said) ? lines.slice(0, -1) : lines;
  const wrong = counted.findIndex((line, index) => line !== `line ${index + 1}`);
  if (wrong >= 0) throw new Error(`${what}: line ${wrong + 1} reads "${counted[wrong]}"`);
  if (isEnd(said) && said !== `end ${counted.length}`) throw new Error(`${what}: "${said}" after ${counted.length}`);
}
