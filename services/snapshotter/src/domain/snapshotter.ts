import type { Digest } from "@berth/oci";

/**
 * Snapshots of one host: read-only layers, and writable ones on top of them.
 *
 * A snapshot's life:
 *
 *     prepare ──▶ active ──commit──▶ committed ◀── unpack
 *     view ─────▶ view                   │ parent of any number
 *        └────────────┴──── remove ◀─────┘ once nothing stands on it
 *
 * - active: may be mounted and written; has one owner, who picked its key (a container's id). Nothing can stand on it.
 * - view: as active, but read-only.
 * - committed: never changes again; what other snapshots stand on. An unpacked layer is named by its chain id.
 *
 * Unpacked layers also go by themselves, once no image names them and nothing stands on them (see Sweeper).
 *
 * Whoever calls commit() or diff() has stopped writing first. All calls may run at once; those of one key take turns.
 * prepare, view and unpack may be repeated after a lost answer and give the same.
 */
export interface Snapshotter {
  /**
   * Makes an active snapshot on the committed `parent` ("" for none), after unpacking what is missing of `layers`.
   * @throws NOT_FOUND without the parent; ALREADY_EXISTS if the key names something else; and what unpack throws
   */
  prepare(key: string, parent: string, options?: PrepareOptions): Promise<MountPlan>;
  /** The same, read-only. */
  view(key: string, parent: string, options?: PrepareOptions): Promise<MountPlan>;
  /** @throws NOT_FOUND; CONFLICT for a committed snapshot; DATA_LOSS when a layer below was lost in a power cut and must be unpacked again */
  mounts(key: string): Promise<MountPlan>;
  /** Freezes the active snapshot `key` as `name`; the key is free then. @throws NOT_FOUND, CONFLICT (not active), ALREADY_EXISTS (name) */
  commit(key: string, name: string): Promise<void>;
  /** @throws NOT_FOUND; IN_USE while another snapshot stands on it or it is about to */
  remove(key: string): Promise<void>;
  /** @throws NOT_FOUND */
  stat(key: string): Promise<SnapshotInfo>;
  list(): AsyncIterable<SnapshotInfo>;
  /** Of the snapshot's own files. @throws NOT_FOUND */
  usage(key: string): Promise<Usage>;
  /** The snapshot's own changes as an uncompressed OCI layer (image-spec, layer.md), in chunks of up to 256 KiB. @throws NOT_FOUND */
  diff(key: string, signal?: AbortSignal): AsyncIterable<Buffer>;
  /**
   * Unpacks the layers of one image, bottom first, at once and while they arrive; ends when all are committed. A layer that is being
   * unpacked for someone else is waited for. Stopping stops what nobody else waits for.
   * @throws INVALID_ARGUMENT (chain ids that do not fit), NOT_FOUND (blob), DATA_LOSS (damaged, or not what its diff id says),
   *   RESOURCE_EXHAUSTED (too large), NO_SPACE, UNAVAILABLE
   */
  unpack(layers: readonly Layer[], signal?: AbortSignal): AsyncIterable<UnpackProgress>;
}

export interface PrepareOptions {
  /** Bottom first; the last one's chain id is the parent. */
  readonly layers?: readonly Layer[];
  readonly labels?: Readonly<Record<string, string>>;
  /** As users give them: "size", what the files of an active snapshot may take on the disk. @throws INTERNAL in Docker's words */
  readonly storageOptions?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** One layer of an image. */
export interface Layer {
  readonly blob: Digest;
  /** Compressed bytes; 0 when not known. */
  readonly size: number;
  readonly diffId: Digest;
  readonly chainId: Digest;
}

/** As mount(8) takes it. */
export interface Mount {
  readonly type: "overlay" | "bind";
  readonly source: string;
  readonly options: readonly string[];
  /** Directory that relative paths inside the options are taken from: keeps the list of layers below a page. May be empty. */
  readonly base: string;
}

export interface MountPlan {
  readonly mounts: readonly Mount[];
  /** Directories on this host, top first, for callers that read without mounting. */
  readonly layerDirs: readonly string[];
}

export type Kind = "active" | "committed" | "view";

export interface SnapshotInfo {
  readonly key: string;
  readonly parent: string;
  readonly kind: Kind;
  /** ms since the epoch */
  readonly created: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Bytes of a committed layer's files; 0 for others. */
  readonly size: number;
}

export interface Usage {
  /** Allocated; a file with several names counts once. */
  readonly bytes: number;
  readonly inodes: number;
  /** Sizes of the files, holes included; a file with several names counts once. */
  readonly fileBytes: number;
}

export interface UnpackProgress {
  readonly blob: Digest;
  readonly status: "waiting" | "extracting" | "done" | "exists";
  /** Compressed bytes read, of how many. */
  readonly current: number;
  readonly total: number;
}
