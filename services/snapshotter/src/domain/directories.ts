import { chmod, chown, lstat, mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { diskUsage, removeTree, syncfs } from "@berth/isolation";
import type { Fault } from "./fault.ts";
import { Slots } from "./locks.ts";
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
  #next: number;
  readonly #removals = new Set<Promise<void>>();
  readonly #slots = new Slots(removalsAtOnce);
  readonly #fault: Fault;
  readonly #onError: (error: unknown) => void;

  private constructor(base: string, next: number, fault: Fault, onError: (error: unknown) => void) {
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
    const directories = new Directories(base, known.reduce((most, n) => Math.max(most, n), 0) + 1, fault, onError);
    for (const name of names) if (!keep.has(Number(name))) directories.removeSoon(name);
    const there = new Set(names.map(Number));
    for (const [dir, record] of keep) {
      // The record reached the medium and the directory did not, so nothing in it can have: empty is what it was.
      if (record.kind !== "committed" && !there.has(dir))
        await directories.make(dir, record.kind === "active", record.root);
    }
    return directories;
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

  /** The root directory of the files takes mode and owner from the layer below: overlayfs shows the topmost one's. */
  async make(dir: number, writable: boolean, root: RootStatus): Promise<void> {
    const own = join(this.base, String(dir));
    await mkdir(own, { mode: 0o700 });
    const made = [mkdir(join(own, "fs"), { mode: 0o755 })];
    if (writable) made.push(mkdir(join(own, "work"), { mode: 0o700 }));
    await Promise.all(made);
    if (root.uid !== 0 || root.gid !== 0) await chown(join(own, "fs"), root.uid, root.gid);
    if (root.mode !== 0o755) await chmod(join(own, "fs"), root.mode);
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
