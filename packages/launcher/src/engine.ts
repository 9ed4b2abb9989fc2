import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { BerthError } from "@berth/errors";
import { Child, type ChildEvents } from "./child.ts";
import { isServing, pings } from "./health.ts";
import { HostIdentity, type NodeNames, servicesOf } from "./identity.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";
import { LogDirectory } from "./logs.ts";
import { acquireNatsServer } from "./nats/acquire.ts";
import { type KeeperParts, NatsKeeper } from "./nats/keeper.ts";
import { answers, type NatsAccess, natsEnvironment, prepareNats } from "./nats/server.ts";
import type { LauncherOptions } from "./options.ts";
import { mainOf, projectDir, type ServiceSpec } from "./services.ts";
import { endLeftovers, StateFile } from "./state.ts";

/** What the launcher tells people. */
export interface Reporter {
  say(line: string): void;
  warn(line: string): void;
  output?: ((service: string, text: string) => void) | undefined;
}

/** Where services find NATS; servers may come and go while they run. */
interface NatsSource extends Omit<NatsAccess, "url"> {
  url(): string;
}

const natsName = "nats";
const startDeadlineMs = 60_000;
const pollMs = 20;
/** Services let calls finish for 10 s; then they close. */
const serviceGraceMs = 15_000;

/** All processes of one engine, from the first lock to the last stop. */
export class Engine {
  readonly #options: LauncherOptions;
  readonly #reporter: Reporter;
  readonly #locks: DirectoryLock[] = [];
  readonly #children: Child[] = [];
  #logs: LogDirectory | undefined;
  #state: StateFile | undefined;
  /** How to see that a process serves, by its name. */
  readonly #checks = new Map<string, () => Promise<boolean>>();
  /** The pid that was last seen serving, by name. */
  readonly #serving = new Map<string, number>();
  #identity: HostIdentity | undefined;
  #keeper: NatsKeeper | undefined;
  #services: readonly ServiceSpec[] = [];
  #ready = false;
  #stopping: Promise<void> | undefined;
  #reloading: Promise<void> | undefined;

  constructor(options: LauncherOptions, reporter: Reporter) {
    this.#options = options;
    this.#reporter = reporter;
  }

  /** How this host stands to others; undefined for one on its own. */
  get identity(): HostIdentity | undefined {
    return this.#identity;
  }

  runs(service: string): boolean {
    return this.#services.some(({ name }) => name === service);
  }

  /** Resolves when every service is healthy. When it throws, what was started is stopped already. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops the services, the last started first, then NATS. Containers run on. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Starts every service anew, one after the other, from what is installed now; NATS runs on. Each has its calls finished, and
   * serves again before the next one's turn. Throws UNAVAILABLE when one does not come back: those behind it keep running as they are.
   */
  reload(): Promise<void> {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async #reload(): Promise<void> {
    for (const child of this.#children.filter(({ name }) => name !== natsName)) {
      if (this.#stopping !== undefined) return;
      await child.replace();
      await this.#untilServing(child, performance.now() + startDeadlineMs);
      this.#reporter.say(`${child.name} is started anew`);
    }
  }

  async #start(): Promise<void> {
    const { root, runDir, hosts } = this.#options;
    for (const directory of [root, runDir]) {
      makeDirectory(directory);
      this.#locks.push(lockDirectory(directory));
    }
    await endLeftovers(runDir);
    const names = this.#names();
    const warn = (line: string) => this.#reporter.warn(line);
    this.#identity = await HostIdentity.establish(this.#options, names, warn);
    this.#services = servicesOf(this.#options, this.#identity);
    this.#requireBuilt();
    this.#logs = new LogDirectory(join(root, "logs"));
    this.#state = new StateFile(runDir, hosts);
    const nats = await this.#startNats();
    const env = this.#environment(nats, names);
    for (const { name, nodeFlags } of this.#services) {
      this.#checks.set(name, () => this.#isServing(name));
      const own = this.#identity?.environment(name, runDir);
      const started = () => ({ ...env, BERTH_NATS_URL: nats.url(), ...own });
      this.#run(name, process.execPath, [...nodeFlags, mainOf(name)], started);
    }
    await this.#untilHealthy();
    this.#ready = true;
    this.#state.setReady();
    // Services see their new certificates by themselves.
    this.#identity?.keepFresh(() => this.#keeper?.reload(), warn);
    this.#keeper?.follow();
  }

  async #stop(): Promise<void> {
    this.#identity?.stop();
    await this.#keeper?.stop();
    for (const child of [...this.#children].reverse()) await child.stop();
    this.#state?.remove();
    this.#logs?.close();
    for (const lock of this.#locks.reverse()) lock.release();
  }

  #requireBuilt(): void {
    const missing = this.#services.map(({ name }) => name).filter((name) => !existsSync(mainOf(name)));
    if (missing.length === 0) return;
    throw new BerthError("NOT_FOUND", `not built: ${missing.join(", ")} (npm run build makes services/*/dist/main.js)`);
  }

  async #startNats(): Promise<NatsSource> {
    const url = process.env["BERTH_NATS_URL"];
    if (url) {
      const { BERTH_NATS_USER: user = "", BERTH_NATS_PASSWORD_FILE: passwordFile = "" } = process.env;
      return { url: () => url, user, passwordFile };
    }
    const { root } = this.#options;
    const acquire = () => acquireNatsServer(undefined, (line) => this.#reporter.say(line));
    const identity = this.#identity;
    if (identity === undefined) {
      const setup = await prepareNats(join(root, "nats"));
      // The services see the end of their standard input when this process is killed; nats-server has to be told by the kernel.
      const args = ["--pdeathsig", "TERM", "--", await acquire(), "-c", setup.configFile];
      this.#runNats("setpriv", args, natsEnvironment(), () => answers(setup.port, setup.host));
      return { ...setup, url: () => setup.url };
    }
    const retire = (child: Child) => this.#retire(child);
    const run: KeeperParts["run"] = (...how) => this.#runNats(...how);
    this.#keeper = new NatsKeeper({ root, identity, acquire, run, retire, ...this.#reporter });
    await this.#keeper.start();
    return { url: () => identity.natsUrls.join(","), user: "", passwordFile: "" };
  }

  #runNats(...[command, args, env, check]: Parameters<KeeperParts["run"]>): Child {
    this.#checks.set(natsName, check);
    const child = this.#run(natsName, command, args, () => env);
    // Stopped after the services, whenever it was started.
    this.#children.unshift(this.#children.pop() ?? child);
    return child;
  }

  async #retire(child: Child): Promise<void> {
    this.#children.splice(this.#children.indexOf(child), 1);
    this.#serving.delete(child.name);
    await child.stop();
  }

  #run(name: string, command: string, args: readonly string[], env: () => NodeJS.ProcessEnv): Child {
    if (this.#logs === undefined) throw new TypeError("no log directory yet");
    const child = new Child({ name, command, args, env, graceMs: serviceGraceMs }, this.#logs, this.#childEvents());
    this.#children.push(child);
    child.start();
    return child;
  }

  #childEvents(): ChildEvents {
    return {
      started: (name, pid) => {
        this.#state?.setProcess(name, pid);
        void this.#watchStart(name, pid);
      },
      died: (name, how, pause) => {
        if (!this.#ready) return;
        this.#reporter.warn(`${name} ended (${how}), restarting${pause > 0 ? ` in ${pause / 1000} s` : ""}`);
      },
      output: this.#reporter.output,
    };
  }

  #names(): NodeNames {
    return {
      nodeId: process.env["BERTH_NODE_ID"] || keptId(join(this.#options.root, "node-id")),
      nodeName: process.env["BERTH_NODE_NAME"] || hostname(),
      site: process.env["BERTH_SITE"] || "default",
    };
  }

  #environment({ user, passwordFile }: NatsSource, { nodeId, nodeName }: NodeNames): NodeJS.ProcessEnv {
    const { root, runDir, hosts } = this.#options;
    // A token is the launcher's business alone.
    const { BERTH_JOIN: _, ...inherited } = process.env;
    return {
      ...inherited,
      BERTH_ROOT: root,
      BERTH_RUN_DIR: runDir,
      BERTH_HOST: hosts.join(","),
      BERTH_NODE_ID: nodeId,
      BERTH_HOST_ID: process.env["BERTH_HOST_ID"] || keptId(join(runDir, "host-id")),
      BERTH_NODE_NAME: nodeName,
      BERTH_NATS_USER: user,
      BERTH_NATS_PASSWORD_FILE: passwordFile,
      BERTH_LAUNCHER_PIPE: "0",
      // Compiled code is kept: a restarted service is back in half the time.
      NODE_COMPILE_CACHE: join(projectDir, ".cache/compiled"),
    };
  }

  /** Every process has one start deadline, counted together. */
  async #untilHealthy(): Promise<void> {
    const deadline = performance.now() + startDeadlineMs;
    await Promise.all(this.#children.map((child) => this.#untilServing(child, deadline)));
  }

  async #untilServing(child: Child, deadline: number): Promise<void> {
    while (this.#serving.get(child.name) === undefined || this.#serving.get(child.name) !== child.pid) {
      if (this.#stopping !== undefined) throw new BerthError("CANCELLED", "stopped while starting");
      // Once may be bad luck (a socket that a dying predecessor still held); three times in a row is not.
      if (child.failures >= 3) throw this.#startFailure(child.name, "ends again and again");
      if (performance.now() > deadline) {
        throw this.#startFailure(child.name, `is not healthy after ${startDeadlineMs / 1000} s`);
      }
      await pause(pollMs);
    }
  }

  /** Asks a process that was just started until it serves, or is no more. */
  async #watchStart(name: string, pid: number): Promise<void> {
    const current = () => this.#stopping === undefined && this.#pidOf(name) === pid;
    while (current()) {
      if (await this.#checks.get(name)?.()) {
        if (!current()) return;
        this.#serving.set(name, pid);
        this.#state?.setServing(name, pid);
        this.#children.find((child) => child.name === name)?.served();
        return;
      }
      await pause(pollMs);
    }
  }

  #pidOf(name: string): number | undefined {
    return this.#children.find((child) => child.name === name)?.pid;
  }

  /** The gateway serves when its Engine API does. */
  async #isServing(name: string): Promise<boolean> {
    const { runDir, hosts } = this.#options;
    if (!(await isServing(join(runDir, `${name}.sock`)))) return false;
    if (name !== "gateway") return true;
    const answers = await Promise.all(hosts.filter((url) => url.startsWith("unix://")).map(pings));
    return answers.every(Boolean);
  }

  #startFailure(name: string, what: string): BerthError {
    const lines = this.#logs?.tail(name, 5).map((line) => `    ${readable(line)}`) ?? [];
    return new BerthError(
      "UNAVAILABLE",
      [`${name} ${what}. The end of ${this.#logs?.path(name)}:`, ...lines].join("\n"),
    );
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A JSON record of a service's log as a line for people; anything else as it is. */
function readable(line: string): string {
  try {
    const { level, msg, err } = JSON.parse(line) as { level?: string; msg?: string; err?: { message?: string } };
    return [level, msg, err?.message].filter((part) => part !== undefined).join(": ");
  } catch {
    return line;
  }
}

function makeDirectory(directory: string): void {
  try {
    makeParents(directory);
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", `cannot make ${directory}: ${(error as Error).message}`);
  }
}

/** Not Node's own recursive mkdir: below /proc, where nothing can be made, that one never ends. */
function makeParents(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o755 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(directory).isDirectory()) return;
    if (code !== "ENOENT" || existsSync(dirname(directory))) throw error;
    makeParents(dirname(directory));
    mkdirSync(directory, { mode: 0o755 });
  }
}

/** The id in a file, made at the first start; the services read the same files when started by hand. */
function keptId(path: string): string {
  if (!existsSync(path)) writeFileSync(path, `${randomUUID().replaceAll("-", "")}\n`, { mode: 0o644, flush: true });
  return readFileSync(path, "utf8").trim();
}
