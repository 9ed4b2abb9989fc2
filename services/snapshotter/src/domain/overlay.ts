import { BerthError } from "@berth/errors";
import { diffLayer } from "@berth/isolation";
import type { BlobSource } from "./blobs.ts";
import { Catalog } from "./catalog.ts";
import { Collector, type NamedLayers } from "./collector.ts";
import { type Directories, plainRoot } from "./directories.ts";
import { layerFailure } from "./failure.ts";
import type { Fault } from "./fault.ts";
import { KeyLocks, Slots } from "./locks.ts";
import { planMounts } from "./plan.ts";
import type { Records, SnapshotRecord } from "./records.ts";
import { recover } from "./recover.ts";
import type {
  Kind,
  Layer,
  MountPlan,
  PrepareOptions,
  SnapshotInfo,
  Snapshotter,
  UnpackProgress,
  Usage,
} from "./snapshotter.ts";
import { Sweeper } from "./sweeper.ts";
import { Syncer } from "./syncer.ts";
import { Unpacker } from "./unpack.ts";

export interface OverlayOptions {
  /** Directory of the snapshots' directories. */
  readonly base: string;
  readonly records: Records;
  readonly blobs: BlobSource;
  /** Id of this boot of the host. */
  readonly bootId: string;
  /** Layers unpacked at once. */
  readonly parallel: number;
  /** Bytes one layer may unpack to. */
  readonly maxLayerBytes: number;
  /** Who says which layers images need; without it unpacked layers stay until they are removed by name. */
  readonly named?: NamedLayers;
  /** How long a layer that was just unpacked or asked for waits for an image to name it, ms. */
  readonly graceMs?: number;
  readonly fault?: Fault;
  /** Hears of failures in the background. */
  readonly onError?: (error: unknown) => void;
}

const defaultGraceMs = 120_000;
/** Projects of other engines on the same file system that may stand in a row before that counts as an error. */
const maxProjectTries = 10_000;
const never = new AbortController().signal;

/** Snapshots as overlayfs takes them. Order of writes: directories, syncfs, record. Order of deletes: record, then directories. */
export class OverlaySnapshotter implements Snapshotter {
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #syncer: Syncer;
  readonly #unpacker: Unpacker;
  readonly #sweeper: Sweeper;
  readonly #collector: Collector | undefined;
  readonly #locks = new KeyLocks();
  readonly #fault: Fault;

  private constructor(catalog: Catalog, directories: Directories, options: OverlayOptions) {
    const { fault = () => {}, onError = () => {}, blobs, maxLayerBytes, bootId, named } = options;
    this.#catalog = catalog;
    this.#directories = directories;
    this.#fault = fault;
    this.#syncer = new Syncer(catalog, directories, this.#locks, fault, onError);
    const graceMs = options.graceMs ?? defaultGraceMs;
    this.#sweeper = new Sweeper({ catalog, directories, locks: this.#locks, fault, graceMs });
    this.#collector = named && new Collector({ named, sweeper: this.#sweeper, onError });
    const slots = new Slots(options.parallel);
    this.#unpacker = new Unpacker({
      catalog,
      directories,
      syncer: this.#syncer,
      blobs,
      slots,
      locks: this.#locks,
      fault,
      maxLayerBytes,
      bootId,
    });
  }

  /** Reads the records, drops layers that a power cut may have torn, removes directories that no record names. */
  static async open(options: OverlayOptions): Promise<OverlaySnapshotter> {
    const catalog = await Catalog.open(options.records);
    const directories = await recover(
      catalog,
      options.base,
      options.bootId,
      options.fault ?? (() => {}),
      options.onError ?? (() => {}),
    );
    return new OverlaySnapshotter(catalog, directories, options);
  }

  /** Stops what is under way and closes the records. */
  async close(): Promise<void> {
    await this.#collector?.close();
    await this.#unpacker.close();
    await this.#syncer.settle();
    await this.#directories.settle();
    await this.#catalog.close();
  }

  /** Resolves when nothing is left to do in the background: unwritten layers, directories on their way out. */
  async settle(): Promise<void> {
    await this.#unpacker.settle();
    await this.#collector?.settle();
    await this.#syncer.settle();
    await this.#directories.settle();
  }

  /** To be called when the images may be others than before: layers that none names any more go, in the background. */
  imagesChanged(): void {
    this.#collector?.soon();
  }

  prepare(key: string, parent: string, options: PrepareOptions = {}): Promise<MountPlan> {
    return this.#make("active", key, parent, options);
  }

  view(key: string, parent: string, options: PrepareOptions = {}): Promise<MountPlan> {
    return this.#make("view", key, parent, options);
  }

  async mounts(key: string): Promise<MountPlan> {
    const record = this.#catalog.get(key);
    if (record.kind === "committed")
      throw new BerthError("CONFLICT", `snapshot ${key} is committed: make an active one or a view on it`, { key });
    return this.#plan(record);
  }

  commit(key: string, name: string): Promise<void> {
    checkKey(name);
    return this.#locks.run(key, () =>
      this.#locks.run(`name ${name}`, async () => {
        const record = this.#active(key);
        if (this.#catalog.find(name) !== undefined)
          throw new BerthError("ALREADY_EXISTS", `there is a snapshot ${name} already`, { key: name });
        const [usage, root] = await Promise.all([
          this.#directories.usage(record.dir),
          this.#directories.rootStatus(record.dir),
        ]);
        // What was written can't be made again from elsewhere, so the medium comes first here.
        await this.#directories.sync();
        this.#fault("commit-synced");
        const committed: SnapshotRecord = {
          ...record,
          kind: "committed",
          size: usage.bytes,
          root,
          origin: "commit",
        };
        await this.#catalog.write([
          { key, record: null },
          { key: name, record: committed },
        ]);
        this.#fault("commit-recorded");
      }),
    );
  }

  remove(key: string): Promise<void> {
    return this.#locks.run(key, async () => {
      const record = this.#catalog.get(key);
      if (!(await this.#catalog.remove(key)))
        throw new BerthError("IN_USE", `snapshot ${key} is in use by others that stand on it`, { key });
      this.#fault("remove-recorded");
      this.#directories.removeSoon(record.dir);
      this.#collector?.left(record.parent);
    });
  }

  async stat(key: string): Promise<SnapshotInfo> {
    return toInfo(key, this.#catalog.get(key));
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    for (const [key, record] of this.#catalog.entries()) yield toInfo(key, record);
  }

  async usage(key: string): Promise<Usage> {
    return this.#directories.usage(this.#catalog.get(key).dir);
  }

  async *diff(key: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const { dir } = this.#catalog.get(key);
    const unpin = this.#catalog.pin(key);
    try {
      yield* diffLayer({ upper: this.#directories.files(dir), ...(signal && { signal }) });
    } catch (error) {
      throw layerFailure(error, `snapshot ${key}`);
    } finally {
      unpin();
    }
  }

  async *unpack(layers: readonly Layer[], signal: AbortSignal = never): AsyncGenerator<UnpackProgress> {
    // Only the newest of each layer waits for a slow reader; every layer's last word gets through.
    const news = new Map<string, UnpackProgress>();
    let wake: () => void = () => {};
    let ended = false;
    const leaving = new AbortController();
    const work = this.#unpacker
      .unpack(
        layers,
        (progress) => {
          news.set(progress.blob, progress);
          wake();
        },
        AbortSignal.any([signal, leaving.signal]),
      )
      .then((unpin) => unpin())
      .finally(() => {
        this.#sweeper.touch(layers.map(({ chainId }) => chainId));
        // Whether an image names them by now decides between waiting and not, when it goes.
        this.#collector?.soon();
        ended = true;
        wake();
      });
    work.catch(() => {});
    try {
      for (;;) {
        const batch = [...news.values()];
        news.clear();
        yield* batch;
        if (news.size > 0) continue;
        if (ended) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      await work;
    } finally {
      leaving.abort(new BerthError("CANCELLED", "the caller has gone"));
    }
  }

  async #make(
    kind: Exclude<Kind, "committed">,
    key: string,
    parent: string,
    options: PrepareOptions,
  ): Promise<MountPlan> {
    checkKey(key);
    const { layers = [], labels = {}, signal = never } = options;
    const quota = this.#directories.quotas.read(options.storageOptions ?? {});
    if (layers.length > 0 && layers.at(-1)?.chainId !== parent) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `the last layer's chain id is ${layers.at(-1)?.chainId}, not the parent ${parent}`,
      );
    }
    const unpin = layers.length > 0 ? await this.#unpacker.unpack(layers, () => {}, signal) : this.#catalog.pin(parent);
    try {
      await this.#catalog.settled([parent]);
      return await this.#locks.run(key, () => {
        // A caller that gives up removes the key: what is made after that would be nobody's.
        signal.throwIfAborted();
        return this.#makeLocked(kind, key, parent, { labels, ...(quota !== undefined && { quota }) });
      });
    } finally {
      unpin();
    }
  }

  /**
   * Two or three mkdirs and one durable write of the record. The directories need no fsync of their own: if a power cut takes them and not
   * the record, nothing in them can have been acknowledged either, and the next start makes them anew, empty (see Directories.open).
   * The record does: whoever fsyncs a file inside this snapshot must find it again.
   */
  async #makeLocked(
    kind: Exclude<Kind, "committed">,
    key: string,
    parent: string,
    own: Pick<SnapshotRecord, "labels" | "quota">,
  ): Promise<MountPlan> {
    const before = this.#catalog.find(key);
    if (before !== undefined) {
      if (before.kind === kind && before.parent === parent) return this.#plan(before);
      throw new BerthError("ALREADY_EXISTS", `there is a snapshot ${key} already`, { key });
    }
    const root = this.#rootOf(parent);
    let dir = this.#directories.next();
    try {
      for (let tries = 1; !(await this.#directories.make(dir, kind === "active", root, own.quota)); tries++) {
        if (tries === maxProjectTries) throw new BerthError("RESOURCE_EXHAUSTED", "no project is free for a quota");
        dir = this.#directories.next();
      }
      this.#fault("prepare-made");
      const record: SnapshotRecord = { dir, kind, parent, created: Date.now(), ...own, size: 0, root };
      await this.#catalog.write([{ key, record }]);
      this.#fault("prepare-recorded");
      return this.#plan(record);
    } catch (error) {
      if (this.#catalog.find(key)?.dir !== dir) this.#directories.removeSoon(dir);
      throw error;
    }
  }

  #rootOf(parent: string): SnapshotRecord["root"] {
    if (parent === "") return plainRoot;
    const record = this.#catalog.get(parent);
    if (record.kind !== "committed")
      throw new BerthError("INVALID_ARGUMENT", `snapshot ${parent} is not committed, nothing can stand on it`, {
        key: parent,
      });
    this.#catalog.chain(parent);
    return record.root;
  }

  #active(key: string): SnapshotRecord {
    const record = this.#catalog.get(key);
    if (record.kind !== "active") throw new BerthError("CONFLICT", `snapshot ${key} is not active`, { key });
    return record;
  }

  #plan(record: SnapshotRecord): MountPlan {
    return planMounts(
      this.#directories.base,
      record,
      this.#catalog.chain(record.parent).map((layer) => layer.record),
    );
  }
}

function toInfo(key: string, { parent, kind, created, labels, size }: SnapshotRecord): SnapshotInfo {
  return { key, parent, kind, created, labels, size: kind === "committed" ? size : 0 };
}

/** Keys come from other services: container ids, chain ids, names. */
function checkKey(key: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,255}$/.test(key)) return;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `"${key.slice(0, 64)}" is not a snapshot's key, expected 1 to 256 letters, digits or . _ : @ / + -`,
  );
}
