import type { Digest } from "@berth/oci";

/**
 * A blob on its way here. First comes how: a `path` on this host, whole or still growing; or bytes. Then `available` (bytes of the
 * file that are there) or `data`. The good end says that all was there and right. A path is good until the
 * next part is taken: open it before.
 */
export type BlobPart =
  | { readonly kind: "path"; readonly path: string; readonly complete: boolean }
  | { readonly kind: "available"; readonly size: number }
  | { readonly kind: "data"; readonly data: Buffer };

export interface BlobSource {
  /** Also of a blob that is still being uploaded. @throws NOT_FOUND, DATA_LOSS, UNAVAILABLE */
  read(digest: Digest, signal: AbortSignal): AsyncIterable<BlobPart>;
}
