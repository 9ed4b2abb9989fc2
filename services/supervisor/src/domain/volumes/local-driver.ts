import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { BerthError, errorMessage } from "@berth/errors";
import { isNativeError, readMountInfo, removeTree, umount } from "@berth/isolation";
import type { DriverVolume, VolumeDriver } from "./driver.ts";
import { mountLocal } from "./local-mount.ts";
import { checkOptions, checkVolumeName, mountSource } from "./options.ts";

export const localDriver = "local";

export interface LocalDriverOptions {
  /** A volume's data directory. */
  pathOf: (name: string) => string;
  /** The options that a volume was made with. */
  optionsOf: (name: string) => Readonly<Record<string, string>> | null;
}

/** Directories of this host, or what a volume's options name, mounted on them while containers that use it run. */
export class LocalDriver implements VolumeDriver {
  readonly name = localDriver;
  readonly pathOf: LocalDriverOptions["pathOf"];
  readonly #optionsOf: LocalDriverOptions["optionsOf"];
  /** Ids that a mounted volume is mounted for. */
  readonly #mounted = new Map<string, Set<string>>();

  constructor({ pathOf, optionsOf }: LocalDriverOptions) {
    this.pathOf = pathOf;
    this.#optionsOf = optionsOf;
  }

  scope(): Promise<string> {
    return Promise.resolve("local");
  }

  async create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    checkVolumeName(name);
    checkOptions(options);
    const data = this.pathOf(name);
    const root = dirname(data);
    try {
      // Others may pass through to what they have been given below, and not look around.
      await mkdir(root, { mode: 0o701 });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EEXIST") {
        throw new BerthError("INTERNAL", `error while creating volume root path '${root}': ${errorMessage(error)}`);
      }
      // Left by a create that was cut short.
      await removeTree(data);
    }
    await mkdir(data, { mode: 0o755 });
  }

  get(name: string): Promise<DriverVolume | undefined> {
    return Promise.resolve({ name, mountpoint: this.pathOf(name), createdAt: "" });
  }

  /** Volumes of this driver are all in the records. */
  list(): Promise<DriverVolume[]> {
    return Promise.resolve([]);
  }

  async mount(name: string, id: string): Promise<string> {
    const path = this.pathOf(name);
    const source = mountSource(this.#optionsOf(name));
    if (source === undefined) return path;
    const ids = this.#mounted.get(name) ?? new Set();
    if (ids.size === 0 && !(await isMounted(path))) await mountLocal(source, path);
    this.#mounted.set(name, ids.add(id));
    return path;
  }

  async unmount(name: string, id: string): Promise<void> {
    const ids = this.#mounted.get(name);
    if (ids === undefined || !ids.delete(id) || ids.size > 0) return;
    this.#mounted.delete(name);
    await this.#unmountNow(name);
  }

  async release(name: string): Promise<void> {
    if ((this.#mounted.get(name)?.size ?? 0) > 0) throw new BerthError("INTERNAL", "volume has active mounts");
    if (mountSource(this.#optionsOf(name)) !== undefined) await this.#unmountNow(name);
  }

  async discard(name: string): Promise<void> {
    await removeTree(dirname(this.pathOf(name)));
  }

  /** A use that began before this process did. */
  adopt(name: string, id: string): void {
    if (mountSource(this.#optionsOf(name)) === undefined) return;
    this.#mounted.set(name, (this.#mounted.get(name) ?? new Set()).add(id));
  }

  /** After a crash: what is mounted and used by nobody is unmounted. `names` are all volumes of this driver. */
  async settle(names: readonly string[]): Promise<void> {
    const idle = names.filter((name) => mountSource(this.#optionsOf(name)) !== undefined && !this.#mounted.has(name));
    for (const name of idle) await this.#unmountNow(name);
  }

  async #unmountNow(name: string): Promise<void> {
    try {
      await umount(this.pathOf(name));
    } catch (error) {
      // EINVAL: it is not mounted.
      if (isNativeError(error) && (error.code === "EINVAL" || error.code === "ENOENT")) return;
      throw new BerthError("INTERNAL", errorMessage(error), {}, { cause: error });
    }
  }
}

async function isMounted(path: string): Promise<boolean> {
  return (await readMountInfo()).some(({ target }) => target === path);
}
