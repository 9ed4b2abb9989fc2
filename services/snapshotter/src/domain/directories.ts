import { chmod, chown, lstat, mkdir, readdir, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { diskUsage, removeTree, syncfs } from "@berth/isolation";
import type { Fault } from "./fault.ts";
import { Slots } from "./locks.ts";
import { Quotas } from "./quotas.ts";
import type { SnapshotRecord } from "./records.ts";

/** What a directory needs to be known of for the layers above. */
export type RootStatus = SnapshotRecord["root"];
export const plainRoot: RootStatus = { mode: 0o755, uid: 0, gid: 0 };

/** What is on its way out has it in front of its number. */
const aside = "gone-";
/** Trees removed at once: the pool that does it has four threads, which everybody's file calls need too. */
const removalsAtOnce = 2;
const never = new AbortController().signal;

/**
 * The snapshots' directories: BASE/N/fs holds the files, BASE/N/work is overlayfs's own (active ones only). Numbers keep the list of
 * layers in a mount short. BASE itself is for root alone: layers hold setuid programs and devices.
 */
export class Directories {
  readonly base: string;
  readonly quotas: Quotas;
  #next: number;
  readonly #removals = new Set<Promise<void>>();
  readonly #slots = new Slots(removalsAtOnce);
  readonly #fault: Fault;
  readonly #onError: (error: unknown) => void;

  private constructor(quotas: Quotas, base: string, next: number, fault: Fault, onError: (error: unknown) => void) {
    this.quotas = quotas;
    this.base = base;
    this.#next = next;
    this.#fault = fault;
    this.#onError = onError;
  }

  /** Removes every directory that `keep` doesn't name (what a crash left behind), and makes anew the ones that are missing. */
  static async open(
    base: string,
    keep: ReadonlyMap<number, SnapshotRecord>,
    fault: Fault,
    onError: (error: unknown) => void,
  ): Promise<Directories> {
    await mkdir(base, { recursive: true, mode: 0o700 });
    const names = await readdir(base);
    const numbers = names.map((name) => Number(name.startsWith(aside) ? name.slice(aside.length) : name));
    const known = [...keep.keys(), ...numbers.filter(Number.isSafeInteger)];
    const next = known.reduce((most, n) => Math.max(most, n), 0) + 1;
    const directories = new Directories(await Quotas.open(base), base, next, fault, onError);
    for (const name of names) if (!keep.has(Number(name))) directories.removeSoon(name);
    const there = new Set(names.map(Number));
    for (const [dir, record] of keep) {
      // The record reached the medium and the directory did not, so nothing in it can have: empty is what it was.
      if (record.kind !== "committed" && !there.has(dir)) await directories.#makeAgain(dir, record, onError);
    }
    return directories;
  }

  /** Without its bound where it can't have that any more: the file system was mounted without quotas, or its project is another's. */
  async #makeAgain(
    dir: number,
    { kind, root, quota }: SnapshotRecord,
    onError: (error: unknown) => void,
  ): Promise<void> {
    const bounded = quota !== undefined && this.quotas.enforced;
    const made = await this.make(dir, kind === "active", root, bounded ? quota : undefined);
    if (made && (quota === undefined || bounded)) return;
    if (!made) await this.make(dir, kind === "active", root);
    onError(new BerthError("INTERNAL", `snapshot directory ${dir} has lost its bound of ${quota} bytes`));
  }

  next(): number {
    return this.#next++;
  }

  files(dir: number): string {
    return join(this.base, String(dir), "fs");
  }

  has(dir: number): Promise<boolean> {
    return lstat(this.files(dir)).then(
      (status) => status.isDirectory(),
      () => false,
    );
  }

  /**
   * The root directory of the files takes mode and owner from the layer below: overlayfs shows the topmost one's. `quota`: bytes that
   * all in it may take; then gives false, nothing made, when its number's project is somebody else's.
   */
  async make(dir: number, writable: boolean, root: RootStatus, quota?: number): Promise<boolean> {
    const own = join(this.base, String(dir));
    await mkdir(own, { mode: 0o700 });
    if (quota !== undefined && !(await this.quotas.claim(own, dir))) {
      await rmdir(own);
      return false;
    }
    const made = [mkdir(join(own, "fs"), { mode: 0o755 })];
    if (writable) made.push(mkdir(join(own, "work"), { mode: 0o700 }));
    await Promise.all(made);
    if (root.uid !== 0 || root.gid !== 0) await chown(join(own, "fs"), root.uid, root.gid);
    if (root.mode !== 0o755) await chmod(join(own, "fs"), root.mode);
    if (quota !== undefined) await this.quotas.limit(dir, quota);
    return true;
  }

  async rootStatus(dir: number): Promise<RootStatus> {
    const { mode, uid, gid } = await lstat(this.files(dir));
    return { mode: mode & 0o7777, uid, gid };
  }

  usage(dir: number): Promise<{ bytes: number; inodes: number; fileBytes: number }> {
    return diskUsage(this.files(dir));
  }

  /** All files of all snapshots are on the medium when it resolves. */
  sync(): Promise<void> {
    return syncfs(this.base);
  }

  /** In the background: nobody can reach it any more, and a start removes what is left. */
  removeSoon(dir: number | string): void {
    const removal = this.#remove(dir).catch(this.#onError);
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  /** A tree may take seconds, and many wait for their turn: moved aside, it is out of sight at once. */
  async #remove(dir: number | string): Promise<void> {
    let path = join(this.base, String(dir));
    if (typeof dir === "number") {
      const away = join(this.base, `${aside}${dir}`);
      const moved = await rename(path, away).then(
        () => true,
        () => false,
      );
      if (moved) path = away;
      this.#fault("remove-aside");
    }
    const release = await this.#slots.acquire(never);
    try {
      // First: afterwards nobody could tell which project it was.
      await this.quotas.release(path);
      await removeTree(path);
    } finally {
      release();
    }
  }

  /** Resolves when what is being removed is gone. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }
}
