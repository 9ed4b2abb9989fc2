import type { Descriptor, Digest, Platform } from "@berth/oci";

/** What a name means: "docker.io/library/busybox:latest" or "docker.io/library/busybox@sha256:…". */
export interface RefRecord {
  imageId: Digest;
  /** Digest of the manifest or index that the name was set to. */
  target: Digest;
}

export interface LayerRecord {
  blob: Descriptor;
  diffId: Digest;
  chainId: Digest;
}

/** An image that somebody asked to keep: one a config (Docker's image id is the config's digest). */
export interface ImageRecord {
  id: Digest;
  /** Manifests with this config; the first is the one whose layers are below. */
  manifests: Digest[];
  layers: LayerRecord[];
  platform: Platform;
  /** RFC 3339, as in the config; empty when it says nothing. */
  created: string;
  /** ms since epoch; 0 when never tagged */
  lastTagged: number;
  /** bytes of config, manifest and layers as stored */
  storedSize: number;
  parent: Digest;
  comment: string;
  labels: Record<string, string>;
}

/** A manifest or index that is stored, whether an image names it or not. */
export interface ManifestRecord {
  mediaType: string;
  /** bytes */
  size: number;
  /** A manifest's config; absent for an index. */
  config?: Digest;
  /** Blobs (of a manifest) or manifests (of an index) that it names. */
  names: Digest[];
}

export interface LeaseRecord {
  /** ms since epoch */
  expires: number;
  ttlSeconds: number;
}

/** Docker's image events. `name` is what Docker puts in the attribute of that name. */
export type ImageEvent = {
  actorId: string;
  labels: Record<string, string>;
} & (
  | { action: "create" | "pull" | "tag" | "untag" | "delete" | "load" | "import" | "save"; name: string }
  | { action: "prune"; attributes: Record<string, string> }
);

export interface Tables {
  refs: RefRecord;
  images: ImageRecord;
  manifests: ManifestRecord;
  leases: LeaseRecord;
  /** "LEASE/DIGEST": content that a lease holds. */
  held: true;
}
export type TableName = keyof Tables;

/** One step of a change; a list of them is applied wholly or not at all. */
export type Change =
  | { [T in TableName]: { table: T; key: string; value: Tables[T] | undefined } }[TableName]
  | { event: ImageEvent };

/** Where records live. Implemented over Level in store/. */
export interface Records {
  /** All records of one table, in the order of their keys. */
  load<T extends TableName>(table: T): AsyncIterable<[key: string, value: Tables[T]]>;
  /** Applies all changes, durably; events go out afterwards, each once. */
  apply(changes: readonly Change[]): Promise<void>;
  /** The same without waiting for the disk; for what a power cut may take back. */
  applyLazy(changes: readonly Change[]): Promise<void>;
}
