// Several hosts on one machine: network namespaces that a switch joins. Nothing of the machine's own network is touched.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningEngine, startEngine } from "@berth/launcher";
import { Docker, findDocker } from "./docker.ts";
import { standing } from "./leaks.ts";
import { createNetns, type NetworkNamespace } from "./netns.ts";
import { eventually, must, type RunOptions, type RunResult, run } from "./process.ts";
import { type Registry, startRegistry } from "./registry.ts";

export interface HostEngineOptions {
  /** For the launcher, such as ["--join", token]. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** All that the launcher runs by itself, unless given. */
  readonly services?: readonly string[];
}

export interface Host {
  /** "host1", "host2" …: its node's name. */
  readonly name: string;
  /** Its address on the switch. */
  readonly address: string;
  readonly netns: NetworkNamespace;
  readonly root: string;
  readonly runDir: string;
  /** DOCKER_HOST of its own gateway, once one runs. */
  readonly dockerHost: string;
  /** The docker client at its own gateway. */
  readonly docker: Docker;
  /** The engine that runs here. @throws when none does */
  readonly engine: RunningEngine;
  /** Starts an engine, and waits until it serves. With none running only; what it keeps stays from one to the next. */
  start(options?: HostEngineOptions): Promise<RunningEngine>;
  /** Stops the engine; its containers run on. */
  stop(): Promise<void>;
  /** Kills the launcher and every service, all at once. */
  crash(): Promise<void>;
  /** What runs here, NATS included. */
  readonly services: readonly string[];
  /** `berth` at its own gateway. */
  berth(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** The same, under way. */
  startBerth(args: readonly string[]): ChildProcessWithoutNullStreams;
  /** What `berth node token` prints, with further flags. */
  token(flags?: readonly string[]): Promise<string>;
  /** A program on this host, to its end. */
  run(command: readonly string[]): Promise<RunResult>;
  /** Pulls the cable: nothing leaves this host or comes in. Its own addresses still answer to itself. */
  cut(): Promise<void>;
  heal(): Promise<void>;
}

export interface Hosts {
  readonly all: readonly Host[];
  /** Everything that the hosts keep is below here. */
  readonly work: string;
  /** "ADDRESS:5000", as image names start; every host reaches it and trusts it. */
  readonly registry: string;
  /** Pushes busybox into the registry; gives its name. */
  pushBusybox(): Promise<string>;
  /** `berth` at a host for a change of the cluster, which may take minutes; gives what it prints. @throws with what all engines said */
  berth(host: Host, args: readonly string[]): Promise<string>;
  /** Removes every container, stops every engine, and fails if anything is left behind. */
  close(): Promise<void>;
}

let fabrics = 0;
const prefixLength = 24;
/** A change takes a few seconds; the authority gives up a step of it after 90 s, and says why. */
const changeMs = 120_000;
const lastLines = 40;

/** `count` hosts (at most 200), and a switch with a registry between them. */
export async function openHosts(count: number): Promise<Hosts> {
  const work = await mkdtemp(join(tmpdir(), "berth-hosts-"));
  const others = new Set((await standing(work)).cgroups);
  const mark = `${process.pid}-${fabrics++}`;
  const network = `10.${200 + (process.pid % 50)}.${fabrics % 250}`;
  const undo: (() => Promise<unknown>)[] = [() => rm(work, { recursive: true, force: true })];
  const unwind = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const center = await createNetns(`berth-sw-${mark}`);
    undo.push(() => center.remove());
    const gateway = `${network}.254`;
    await ip(center, "link", "add", "switch", "type", "bridge");
    await ip(center, "address", "add", `${gateway}/${prefixLength}`, "dev", "switch");
    await ip(center, "link", "set", "switch", "up");
    const registry = await startRegistry({ dir: join(work, "registry"), enter: center.enter, address: gateway });
    undo.push(() => registry.stop());
    const client = await findDocker();
    const all: TestHost[] = [];
    for (let index = 1; index <= count; index++) {
      const netns = await createNetns(`berth-h${index}-${mark}`);
      undo.push(() => netns.remove());
      const port = `port${index}`;
      await ip(center, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", netns.name);
      await ip(center, "link", "set", port, "master", "switch", "up");
      const address = `${network}.${index}`;
      await ip(netns, "address", "add", `${address}/${prefixLength}`, "dev", "eth0");
      await ip(netns, "link", "set", "eth0", "up");
      await ip(netns, "route", "add", "default", "via", gateway);
      all.push(new TestHost({ name: `host${index}`, address, netns, work, client, registry, center, port }));
    }
    return {
      all,
      work,
      registry: registry.host,
      pushBusybox: async () => {
        const script = join(import.meta.dirname, "push-image.ts");
        await must([...center.enter, process.execPath, script, "busybox", registry.host], { timeoutMs: 120_000 });
        return `${registry.host}/busybox:latest`;
      },
      berth: async (host, args) => {
        const { code, signal, stdout, stderr } = await host.berth(args, { timeoutMs: changeMs });
        if (code === 0) return stdout;
        const words = await Promise.all(all.map((each) => each.lastWords()));
        throw new Error(`berth ${args.join(" ")}: ${stderr || (code ?? signal)}\n${words.join("\n")}`);
      },
      close: async () => {
        try {
          for (const host of all) await host.heal();
          await Promise.all(all.map((host) => host.removeContainers()));
          // Who joined stops before those it joined.
          for (const host of [...all].reverse()) await host.stop();
          await registry.stop();
          await nothingLeft(work, all, others);
        } finally {
          for (const host of all) await host.stop();
          await unwind();
        }
      },
    };
  } catch (error) {
    await unwind();
    throw error;
  }
}

interface TestHostParts {
  readonly name: string;
  readonly address: string;
  readonly netns: NetworkNamespace;
  readonly work: string;
  readonly client: string;
  readonly registry: Registry;
  readonly center: NetworkNamespace;
  /** The switch's end of the cable. */
  readonly port: string;
}

class TestHost implements Host {
  readonly name: string;
  readonly address: string;
  readonly netns: NetworkNamespace;
  readonly root: string;
  readonly runDir: string;
  readonly docker: Docker;
  readonly #parts: TestHostParts;
  #engine: RunningEngine | undefined;

  constructor(parts: TestHostParts) {
    const { name, address, netns, work, client } = parts;
    this.#parts = parts;
    this.name = name;
    this.address = address;
    this.netns = netns;
    this.root = join(work, name, "root");
    this.runDir = join(work, name, "run");
    this.docker = new Docker(client, join(this.runDir, "berth.sock"), join(work, name, "docker-config"));
  }

  get dockerHost(): string {
    return `unix://${this.docker.socket}`;
  }

  get engine(): RunningEngine {
    if (this.#engine === undefined) throw new Error(`no engine runs on ${this.name}`);
    return this.#engine;
  }

  async start({ args = [], env = {}, services }: HostEngineOptions = {}): Promise<RunningEngine> {
    if (this.#engine !== undefined) throw new Error(`an engine runs on ${this.name} already`);
    this.#engine = await startEngine({
      root: this.root,
      runDir: this.runDir,
      netns: this.netns.path,
      args,
      ...(services && { services }),
      env: { BERTH_NODE_NAME: this.name, BERTH_INSECURE_REGISTRIES: this.#parts.registry.host, ...env },
    });
    return this.#engine;
  }

  async stop(): Promise<void> {
    const engine = this.#engine;
    this.#engine = undefined;
    await engine?.stop();
  }

  berth(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run([process.execPath, ...this.#cli, ...args], options);
  }

  /** Of the launcher, the authority and NATS. */
  async lastWords(): Promise<string> {
    const tail = async (service: string) => {
      const text = await readFile(join(this.root, "logs", `${service}.log`), "utf8").catch(() => "");
      const lines = text.split("\n").filter((line) => !/\[INF\].*(rid:|Reloaded)|connect to route/.test(line));
      return `-- ${this.name}, ${service}:\n${lines.slice(-lastLines).join("\n")}`;
    };
    const launcher = `-- ${this.name}, launcher:\n${this.#engine?.said() ?? ""}`;
    return [launcher, await tail("authority"), await tail("nats")].join("\n");
  }

  startBerth(args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [...this.#cli, ...args], { stdio: "pipe" });
  }

  get #cli(): string[] {
    return [join(import.meta.dirname, "../../cli/bin/berth.mjs"), "--host", this.dockerHost];
  }

  async crash(): Promise<void> {
    const { pid } = this.engine;
    const services = this.services.map((service) => this.engine.pidOf(service));
    this.#engine = undefined;
    for (const each of [pid, ...services]) process.kill(each, "SIGKILL");
    await eventually("its services are gone", () => {
      const left = services.filter((each) => existsSync(`/proc/${each}`));
      if (left.length > 0) throw new Error(left.map((each) => readFileSync(`/proc/${each}/cmdline`, "utf8")).join());
      return true;
    });
  }

  get services(): readonly string[] {
    const { processes } = JSON.parse(readFileSync(join(this.runDir, "launcher.json"), "utf8")) as { processes: object };
    return Object.keys(processes);
  }

  async token(flags: readonly string[] = []): Promise<string> {
    const { code, stdout, stderr } = await this.berth(["node", "token", "--quiet", ...flags]);
    if (code !== 0) throw new Error(`berth node token: ${stderr}`);
    return stdout.trim();
  }

  run(command: readonly string[]): Promise<RunResult> {
    return run([...this.netns.enter, ...command]);
  }

  async cut(): Promise<void> {
    await ip(this.#parts.center, "link", "set", this.#parts.port, "down");
  }

  async heal(): Promise<void> {
    await ip(this.#parts.center, "link", "set", this.#parts.port, "up");
  }

  /** Through its own gateway, where it has one: they all show the same containers. */
  async removeContainers(): Promise<void> {
    if (this.#engine === undefined || (await this.docker.run(["version"])).code !== 0) return;
    const ids = (await this.docker.must(["ps", "-aq", "--no-trunc"])).split("\n").filter(Boolean);
    // Another host's gateway may have been faster.
    if (ids.length > 0) await this.docker.run(["rm", "-f", ...ids], { timeoutMs: 120_000 });
  }
}

const ip = (netns: NetworkNamespace, ...words: string[]): Promise<string> => must(["ip", "-n", netns.name, ...words]);

/** All engines have stopped and no container is left: no process, mount, cgroup, link or table may be either. */
async function nothingLeft(work: string, all: readonly Host[], others: ReadonlySet<string>): Promise<void> {
  await eventually("nothing is left behind", async () => {
    const left = await standing(work);
    const found = [...left.mounts, ...left.processes, ...left.cgroups.filter((path) => !others.has(path))];
    for (const { name, netns } of all) {
      const links = (await ip(netns, "-o", "link", "show")).split("\n");
      const tables = (await must([...netns.enter, "nft", "list", "tables"])).split("\n");
      const own = [...links.filter((line) => !/^\d+: (lo|eth0@[^:]*):/.test(line)), ...tables].filter(Boolean);
      found.push(...own.map((line) => `${name}: ${line}`));
    }
    if (found.length > 0) throw new Error(`left behind:\n${found.join("\n")}`);
    return true;
  });
}
