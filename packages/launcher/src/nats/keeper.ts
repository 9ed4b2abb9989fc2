import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import { identityDirectory, natsPlanFile } from "@berth/identity/layout";
import { modeOf, readPlan } from "@berth/identity/plan";
import type { Child } from "../child.ts";
import type { HostIdentity } from "../identity.ts";
import { moveIntoCluster } from "./move.ts";
import { answers, natsEnvironment } from "./server.ts";
import { forgetStores, prepareSharedNats, type SharedNats } from "./shared.ts";

export interface KeeperParts {
  root: string;
  identity: HostIdentity;
  /** The server's program, which is fetched where it is missing. */
  acquire(): Promise<string>;
  /** Starts a process and keeps it running. */
  run(command: string, args: readonly string[], env: NodeJS.ProcessEnv, check: () => Promise<boolean>): Child;
  /** Ends one. */
  retire(child: Child): Promise<void>;
  say(line: string): void;
  warn(line: string): void;
}

const retryMs = 2_000;
/** The plan's file is written once, and renamed. ms */
const settleMs = 20;

/** The cluster's NATS server on this host: there, alone or with others, or not there, as the plan says. */
export class NatsKeeper {
  readonly #parts: KeeperParts;
  readonly #directory: string;
  #child: Child | undefined;
  /** How the server runs that is there. */
  #running = "none";
  /** Of the plan that was last carried out. */
  #applied = 0;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #applying: Promise<void> = Promise.resolve();
  readonly #ending = new AbortController();

  constructor(parts: KeeperParts) {
    this.#parts = parts;
    this.#directory = join(parts.root, "nats");
  }

  /** As the plan says that is known here; a newer one is heard of when services run. */
  start(): Promise<void> {
    return this.#apply();
  }

  /** Follows the plan, as the services of this host hear of it. */
  follow(): void {
    this.#watcher = watch(identityDirectory(this.#parts.root), () => this.#soon(settleMs));
    this.#soon(settleMs);
  }

  /** There are new certificates. */
  reload(): void {
    this.#child?.signal("SIGHUP");
  }

  /** Ends the following; the server's process is the engine's to stop. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#watcher?.close();
    clearTimeout(this.#timer);
    await this.#applying;
  }

  #soon(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#ending.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#applying = this.#applying.then(() => this.#catchUp());
    }, ms);
  }

  async #catchUp(): Promise<void> {
    const { root, identity, warn } = this.#parts;
    const plan = readPlan(natsPlanFile(root));
    if (plan === undefined || plan.version <= this.#applied || this.#ending.signal.aborted) return;
    try {
      // Whom a server trusts, and its certificate, come with a renewal; and a newer plan, where there is one.
      await identity.renewNow();
      await this.#apply();
    } catch (error) {
      warn(`what the engine wants of NATS here is not done yet: ${errorMessage(error)}`);
      this.#soon(retryMs);
    }
  }

  async #apply(): Promise<void> {
    const { root, identity } = this.#parts;
    const plan = readPlan(natsPlanFile(root));
    if (plan === undefined) return;
    const { nodeId } = identity.settings;
    if (modeOf(plan, nodeId) === "none") {
      await this.#end();
      forgetStores(this.#directory);
    } else {
      const shared = identity.sharedNats(plan);
      if (plan.growth?.stage === "moving" && plan.growth.from === nodeId && !(await this.#moved(shared))) return;
      await this.#serve(shared);
    }
    this.#applied = plan.version;
  }

  /** False when it failed: the server is alone as before, and it is tried again. */
  async #moved(shared: SharedNats): Promise<boolean> {
    const { warn } = this.#parts;
    const directory = this.#directory;
    try {
      const end = () => this.#end();
      await moveIntoCluster({ ...this.#parts, directory, shared, end, signal: this.#ending.signal });
      return true;
    } catch (error) {
      warn(`streams could not be moved, will try again: ${errorMessage(error)}`);
      await this.#serve({ ...shared, member: undefined });
      this.#soon(retryMs);
      return false;
    }
  }

  async #serve(shared: SharedNats): Promise<void> {
    const wanted = shared.member?.serverName ?? "alone";
    const isThere = this.#running === wanted;
    if (!isThere) await this.#end();
    const { configFile, host, port } = prepareSharedNats(this.#directory, shared);
    if (isThere) return this.reload();
    const binary = await this.#parts.acquire();
    if (this.#ending.signal.aborted) return;
    // The services see the end of their standard input when this process is killed; nats-server has to be told by the kernel.
    const args = ["--pdeathsig", "TERM", "--", binary, "-c", configFile];
    this.#child = this.#parts.run("setpriv", args, natsEnvironment(), () => answers(port, host));
    this.#running = wanted;
  }

  async #end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    this.#running = "none";
    if (child !== undefined) await this.#parts.retire(child);
  }
}
