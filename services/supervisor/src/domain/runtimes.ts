import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BerthError, errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import { endGroup } from "./cgroups.ts";
import { failed, invalid } from "./errors.ts";
import { Features } from "./features.ts";

/** Another OCI runtime than our own: a program with OCI's command line, which the monitor calls. */
export interface OciRuntime {
  /** Absolute. */
  path: string;
  /** Before every subcommand's. */
  args: readonly string[];
}

/** An OCI runtime as the monitor is told of it (monitor.json). */
export interface RuntimePlace extends OciRuntime {
  /** Where it keeps the state of its containers. */
  root: string;
}

/** Our own runtime's name, which nothing else can have. */
export const ownRuntime = "berth";
/** Its program's name. */
const ownProgram = "berth-runtime";
/** What Docker calls its default: our own unless the operator says otherwise, as clients ask for it by these names. */
const dockerNames = ["runc", "io.containerd.runc.v2"];
/** Found by their names on PATH, for who has installed them and configured nothing. */
const foundByName = ["crun"];
const deleteTimeoutMs = 20_000;

export interface RuntimeOptions {
  /** What the operator has configured, by name. */
  configured: ReadonlyMap<string, OciRuntime>;
  /** Of containers that name none. */
  defaultName: string;
  /** Of our own runtime. */
  ownPath: string;
  /** The directories of PATH. */
  searchPath: readonly string[];
  /** State of containers, a directory a runtime. */
  directory: string;
  log: Logger;
}

/** The OCI runtimes of this node, by the names that users ask for. */
export class Runtimes {
  readonly #options: RuntimeOptions;
  readonly #features = new Features();

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  get defaultName(): string {
    return this.#options.defaultName;
  }

  /**
   * Null for our own runtime. Before a start ("starting" false) also for what may be the name of a containerd shim, as Docker does not
   * look for one before. @throws INVALID_ARGUMENT for a name that no runtime has, INTERNAL for a shim's
   */
  async find(name: string, starting = false): Promise<RuntimePlace | null> {
    const { configured, searchPath } = this.#options;
    const known = configured.get(name === "io.containerd.runc.v2" && !configured.has(name) ? "runc" : name);
    if (known !== undefined) return { ...known, root: this.#root(name) };
    if (name === ownRuntime || dockerNames.includes(name)) return null;
    const path = foundByName.includes(name) ? await findProgram(name, searchPath) : undefined;
    if (path === undefined && !starting && isShim(name)) return null;
    if (path === undefined) throw unknown(name);
    return { path, args: [], root: this.#root(name) };
  }

  /** Of all there are. */
  async names(): Promise<string[]> {
    const all = this.#known();
    const found = await Promise.all(all.map((name) => this.#look(name)));
    return all.filter((_, index) => found[index] !== undefined);
  }

  #known(): string[] {
    return [...new Set([...dockerNames, ownRuntime, ...this.#options.configured.keys(), ...foundByName])];
  }

  /** All there are, for `docker info`; path "berth-runtime" is our own. `features`: JSON, empty if there is none. */
  async list(): Promise<{ name: string; path: string; args: string[]; features: string }[]> {
    const found = await Promise.all(this.#known().map(async (name) => ({ name, runtime: await this.#look(name) })));
    const rows = found.map(async ({ name, runtime }) => {
      if (runtime === undefined) return [];
      const { path, args } = runtime ?? { path: ownProgram, args: [] };
      const features = await this.#features.of(runtime === null ? this.#options.ownPath : path, args);
      return [{ name, path, args: [...args], features }];
    });
    return (await Promise.all(rows)).flat();
  }

  /**
   * Takes away what a runtime still has of a container whose monitor is gone, its processes first. For our own there is nothing.
   * Never throws: what is left is swept at the next start.
   */
  async forget(name: string, id: string, group: string): Promise<void> {
    const root = this.#root(name);
    const runtime = await this.#look(name);
    if (runtime === null) return;
    await endGroup(group);
    if (!(await exists(join(root, id)))) return;
    if (runtime !== undefined) await this.#delete(runtime, root, id);
    await rm(join(root, id), { recursive: true, force: true }).catch(() => undefined);
  }

  /** The same for all but these containers. */
  async sweep(isRunning: (id: string) => boolean, groupOf: (id: string) => string): Promise<void> {
    const { directory } = this.#options;
    for (const name of await namesIn(directory)) {
      for (const id of await namesIn(join(directory, name))) {
        if (!isRunning(id)) await this.forget(name, id, groupOf(id));
      }
    }
  }

  #root(name: string): string {
    return join(this.#options.directory, name);
  }

  /** Undefined: there is none of this name (any more). */
  #look(name: string): Promise<RuntimePlace | null | undefined> {
    return this.find(name, true).catch(() => undefined);
  }

  #delete({ path, args }: OciRuntime, root: string, id: string): Promise<void> {
    return new Promise((resolve) => {
      const words = [...args, "--root", root, "delete", "--force", id];
      execFile(path, words, { timeout: deleteTimeoutMs, killSignal: "SIGKILL" }, (error) => {
        if (error)
          this.#options.log.warn({ container: id, err: errorMessage(error) }, `${path} cannot delete a container`);
        resolve();
      });
    });
  }
}

/** "prefix.name.version" (containerd, runtime v2), which Docker finds to be missing when it is used. */
const isShim = (name: string) => /^[^./][^/]*\.[^/]*$/.test(name);

function unknown(name: string): BerthError {
  if (!isShim(name)) return invalid(`unknown or invalid runtime name: ${name}`);
  const binary = `containerd-shim-${name.split(".").slice(-2).join("-")}`;
  return failed(
    "failed to create task for container: failed to start shim: failed to resolve runtime path: " +
      `runtime ${JSON.stringify(name)} binary not installed ${JSON.stringify(binary)}: file does not exist`,
  );
}

const namesIn = (path: string): Promise<string[]> => readdir(path).catch(() => []);

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function findProgram(name: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}
