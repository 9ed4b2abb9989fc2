import type { Digest, Platform } from "@berth/oci";

/** Where what is fetched goes: the image store, seen from here. The gRPC client in rpc/ implements it. */
export interface ImageSink {
  /** Content put under a lease stays until the lease is ended. */
  beginLease(signal: AbortSignal): Promise<string>;
  endLease(lease: string): Promise<void>;
  /** Bytes of a blob that is there wholly; undefined otherwise. */
  blobSize(digest: Digest, signal: AbortSignal): Promise<number | undefined>;
  /** A small blob that is there. */
  readDocument(digest: Digest, signal: AbortSignal): Promise<Buffer>;
  /** Begins, or resumes, the upload of a blob. */
  writeBlob(start: { digest: Digest; size: number; lease: string }, signal: AbortSignal): Promise<BlobWriter>;
  putManifest(
    manifest: { mediaType: string; content: Buffer; digest: Digest; lease: string },
    signal: AbortSignal,
  ): Promise<void>;
  /** Names the image of a manifest, and tells that it was pulled. */
  tag(
    pulled: { manifest: Digest; name: string; pulledDigest: Digest },
    signal: AbortSignal,
  ): Promise<{ imageId: Digest; changed: boolean }>;
}

/** One upload: write() any number of times, then commit() or abort(). */
export interface BlobWriter {
  /** Where to go on from; the blob's size when it is there already. bytes */
  readonly offset: number;
  /** bytes that are best written at once; 0: as they come */
  readonly chunkSize: number;
  /** Takes the buffer over, for good. Resolves when more may come, rejects once the store has failed. */
  write(chunk: Buffer): Promise<void> | undefined;
  /** Resolves when the blob is on the store's disk, checked. DATA_LOSS when it is not what the digest says. */
  commit(): Promise<void>;
  /** Lets go; the store keeps what it has for the next try. */
  abort(): Promise<void>;
}

export interface LayerInfo {
  blob: { mediaType: string; digest: Digest; size: number };
  diffId: Digest;
  chainId: Digest;
}

export type LayerState = "waiting" | "downloading" | "verifying" | "downloaded" | "exists" | "retrying";

/** What a pull tells on its way. */
export type PullMessage =
  | { kind: "resolved"; name: string; tag: string; descriptor: { mediaType: string; digest: Digest; size: number } }
  | { kind: "plan"; imageId: Digest; manifestDigest: Digest; layers: LayerInfo[] }
  | { kind: "layer"; digest: Digest; state: LayerState; current: number; total: number; retryIn: number }
  | { kind: "done"; imageId: Digest; digest: Digest; changed: boolean };

export interface Resolved {
  descriptor: { mediaType: string; digest: Digest; size: number };
  platforms: Platform[];
}
