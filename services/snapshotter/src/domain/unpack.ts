import { BerthError } from "@berth/errors";
import { type ApplyResult, copyUpLinks, inheritDirectories } from "@berth/isolation";
import { chainIds, type Digest, parseDigest } from "@berth/oci";
import type { BlobSource } from "./blobs.ts";
import type { Catalog } from "./catalog.ts";
import { type Directories, plainRoot } from "./directories.ts";
import { extractLayer } from "./extract.ts";
import { layerFailure } from "./failure.ts";
import type { Fault } from "./fault.ts";
import type { KeyLocks, Slots } from "./locks.ts";
import type { Layer, UnpackProgress } from "./snapshotter.ts";
import type { Syncer } from "./syncer.ts";

export interface UnpackerParts {
  readonly catalog: Catalog;
  readonly directories: Directories;
  readonly syncer: Syncer;
  readonly blobs: BlobSource;
  readonly slots: Slots;
  readonly locks: KeyLocks;
  readonly fault: Fault;
  readonly maxLayerBytes: number;
  /** Id of this boot of the host. */
  readonly bootId: string;
}

const maxLayers = 127; // what images may have elsewhere too; overlayfs itself takes 500

/** A layer being unpacked, for one or several callers. */
interface Flight {
  readonly chainId: Digest;
  readonly done: Promise<void>;
  readonly listeners: Set<(progress: UnpackProgress) => void>;
  readonly stop: AbortController;
  /** Those of the layers on top: they fail with it. */
  readonly above: Set<Flight>;
  last: UnpackProgress;
}

/** Unpacks layers: each into a directory of its own, all at once; recorded bottom first, so that a record's parent is always there. */
export class Unpacker {
  readonly #parts: UnpackerParts;
  /** What a newcomer may join. */
  readonly #flights = new Map<Digest, Flight>();
  /** Also those that have failed and are being cleared away. */
  readonly #ending = new Set<Promise<void>>();

  constructor(parts: UnpackerParts) {
    this.#parts = parts;
  }

  /** Resolves when all are committed; `tell` hears of each. The layers can't be removed until the returned function is called. */
  async unpack(
    layers: readonly Layer[],
    tell: (progress: UnpackProgress) => void,
    signal: AbortSignal,
  ): Promise<() => void> {
    check(layers);
    const pins = layers.map(({ chainId }) => this.#parts.catalog.pin(chainId));
    const unpin = () => {
      for (const release of pins) release();
    };
    const leaving = new AbortController();
    const both = AbortSignal.any([signal, leaving.signal]);
    try {
      await this.#parts.catalog.settled(layers.map(({ chainId }) => chainId));
      await Promise.all(layers.map((layer, index) => this.#join(layer, layers[index - 1]?.chainId ?? "", tell, both)));
      return unpin;
    } catch (error) {
      // One that fails ends the waiting for the others, which then stop unless somebody else wants them.
      leaving.abort(error);
      unpin();
      throw error;
    }
  }

  /** Stops all; resolves when nothing is under way. */
  async close(): Promise<void> {
    for (const { stop } of this.#flights.values())
      stop.abort(new BerthError("UNAVAILABLE", "the snapshotter is ending"));
    await this.settle();
  }

  /** Resolves when nothing is under way. */
  async settle(): Promise<void> {
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending);
  }

  /** Waits for the layer's flight, which it starts if there is none. */
  async #join(
    layer: Layer,
    parent: string,
    tell: (progress: UnpackProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#parts.catalog.find(layer.chainId) !== undefined) {
      tell({ blob: layer.blob, status: "exists", current: layer.size, total: layer.size });
      return;
    }
    const flight = this.#flights.get(layer.chainId) ?? this.#start(layer, parent);
    const listener = (progress: UnpackProgress) => tell(progress);
    flight.listeners.add(listener);
    tell(flight.last);
    try {
      await abortable(flight.done, signal);
    } catch (error) {
      flight.listeners.delete(listener);
      if (flight.listeners.size === 0) {
        this.#fail(flight);
        flight.stop.abort(new BerthError("CANCELLED", "nobody waits for this layer any more"));
      }
      throw error;
    }
  }

  #start(layer: Layer, parent: string): Flight {
    // The flight below, not some caller's wait for it: that caller may leave while others stay.
    const under = this.#flights.get(parent);
    const { promise, resolve } = Promise.withResolvers<void>();
    const last = { blob: layer.blob, status: "waiting", current: 0, total: layer.size } as const;
    const flight: Flight = {
      chainId: layer.chainId,
      done: promise,
      listeners: new Set(),
      stop: new AbortController(),
      above: new Set(),
      last,
    };
    const say = (status: UnpackProgress["status"], current: number) => {
      flight.last = { blob: layer.blob, status, current, total: Math.max(layer.size, current) };
      for (const listener of flight.listeners) listener(flight.last);
    };
    this.#flights.set(layer.chainId, flight);
    under?.above.add(flight);
    resolve(this.#fly(layer, parent, under?.done ?? Promise.resolve(), say, flight));
    const ended = promise
      .catch(() => {})
      .finally(() => {
        this.#forget(flight);
        this.#ending.delete(ended);
      });
    this.#ending.add(ended);
    return flight;
  }

  /** Nobody may join it any more, nor what stands on it. */
  #forget(flight: Flight): void {
    if (this.#flights.get(flight.chainId) === flight) this.#flights.delete(flight.chainId);
  }

  #fail(flight: Flight): void {
    this.#forget(flight);
    for (const above of flight.above) this.#fail(above);
  }

  async #fly(
    layer: Layer,
    parent: string,
    below: Promise<void>,
    say: (status: UnpackProgress["status"], current: number) => void,
    flight: Flight,
  ): Promise<void> {
    const { catalog, directories, slots, fault } = this.#parts;
    const { signal } = flight.stop;
    const release = await slots.acquire(signal);
    // Its callers' pins go with them; what it is about to stand on must stay all the same.
    const unpin = catalog.pin(parent);
    const dir = directories.next();
    try {
      await directories.make(dir, false, plainRoot);
      fault("unpack-made");
      say("extracting", 0);
      const extracted = await extractLayer(this.#parts.blobs, layer, {
        target: directories.files(dir),
        maxBytes: this.#parts.maxLayerBytes,
        onProgress: (bytes) => say("extracting", bytes),
        signal,
      });
      fault("unpack-extracted");
      // The slot is for disk and processor; waiting for the layer below needs neither, and the one below may need the slot.
      release();
      await abortable(below, signal);
      await this.#parts.locks.run(layer.chainId, () => this.#commit(layer, parent, dir, extracted));
      say("done", extracted.bytesIn);
    } catch (error) {
      this.#fail(flight);
      directories.removeSoon(dir);
      throw error;
    } finally {
      unpin();
      release();
    }
  }

  /** Directories first, then the record; the medium later (see Syncer). */
  async #commit(layer: Layer, parent: string, dir: number, extracted: ApplyResult): Promise<void> {
    const { catalog, directories, syncer, fault, bootId } = this.#parts;
    if (catalog.find(layer.chainId) !== undefined) {
      // One that everybody had left came this far all the same, before its successor: they are equal, the first stays.
      directories.removeSoon(dir);
      return;
    }
    const lower = catalog.chain(parent).map(({ record }) => directories.files(record.dir));
    const { implied, size } = await this.#link(layer, dir, lower, extracted);
    if (lower.length > 0 && implied.length > 0) await inheritDirectories(directories.files(dir), lower, implied);
    fault("unpack-inherited");
    const root = await directories.rootStatus(dir);
    const record = {
      dir,
      kind: "committed",
      parent,
      created: Date.now(),
      labels: {},
      size,
      root,
      unsyncedBoot: bootId,
    } as const;
    await catalog.write([{ key: layer.chainId, record }]);
    fault("unpack-recorded");
    syncer.add(layer.chainId);
  }

  /** Hard links to files of the layers below had to wait for those; hardly any image has some. */
  async #link(
    layer: Layer,
    dir: number,
    lower: readonly string[],
    { implied, links, fileBytes }: ApplyResult,
  ): Promise<{ implied: readonly string[]; size: number }> {
    if (links.length === 0) return { implied, size: fileBytes };
    const { directories, maxLayerBytes } = this.#parts;
    try {
      const room = Math.max(1, maxLayerBytes - fileBytes);
      const copied = await copyUpLinks(directories.files(dir), lower, links, room);
      return { implied: [...implied, ...copied.implied], size: fileBytes + copied.fileBytes };
    } catch (error) {
      throw layerFailure(error, `layer ${layer.blob}`);
    }
  }
}

function check(layers: readonly Layer[]): void {
  if (layers.length > maxLayers)
    throw new BerthError("INVALID_ARGUMENT", `an image may have at most ${maxLayers} layers, not ${layers.length}`);
  for (const { blob, diffId, chainId } of layers) for (const digest of [blob, diffId, chainId]) parseDigest(digest);
  const expected = chainIds(layers.map(({ diffId }) => diffId));
  layers.forEach(({ chainId }, index) => {
    if (chainId === expected[index]) return;
    throw new BerthError(
      "INVALID_ARGUMENT",
      `chain id ${chainId} of layer ${index + 1} does not fit the diff ids, expected ${expected[index]}`,
    );
  });
}

/** `promise`, or the signal's reason if that comes first. */
async function abortable(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let leave: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
