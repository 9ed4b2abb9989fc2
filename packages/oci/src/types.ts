import type { Digest } from "./digest.ts";
import type { Platform } from "./platform.ts";

/** OCI image-spec, descriptor.md. */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** bytes */
  size: number;
  platform?: Platform;
  annotations?: Record<string, string>;
  urls?: string[];
}

/** OCI image-spec, manifest.md; Docker's schema 2 has the same shape. */
export interface ImageManifest {
  mediaType: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
}

/** OCI image-spec, image-index.md; Docker's manifest list has the same shape. */
export interface ImageIndex {
  mediaType: string;
  manifests: Descriptor[];
  annotations?: Record<string, string>;
}

/** The "config" object of an image config; Docker adds fields of its own, all are kept as they came. */
export type RuntimeConfig = Record<string, unknown> & { Labels?: Record<string, string> | null };

export interface History {
  created?: string;
  created_by?: string;
  comment?: string;
  author?: string;
  empty_layer?: boolean;
}

/** OCI image-spec, config.md: the part that image handling needs. Whoever shows a config passes its bytes on. */
export interface ImageConfig {
  created?: string;
  author?: string;
  comment?: string;
  /** Docker's: id of the image that a build step started from. */
  parent?: string;
  platform: Platform;
  config?: RuntimeConfig;
  /** Digests of the uncompressed layers, lowest first. */
  diffIds: Digest[];
  history: History[];
}
