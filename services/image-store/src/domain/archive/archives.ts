import type { Digest, Reference } from "@berth/oci";
import type { BlobStore } from "../blobs/blob-store.ts";
import type { Committed } from "../blobs/upload.ts";
import type { Catalog } from "../catalog.ts";
import type { Content } from "../content.ts";
import type { Images } from "../images.ts";
import type { Leases } from "../leases.ts";
import type { Receiver } from "../receive.ts";

export interface ArchiveParts {
  blobs: BlobStore;
  catalog: Catalog;
  content: Content;
  images: Images;
  leases: Leases;
  receiver: Receiver;
}

/** seconds; renewed by every blob */
const leaseTtl = 3600;

/** What loading and importing have in common: content that comes in under a lease of its own. */
export class Intake {
  readonly #parts: ArchiveParts;
  readonly #lease: string;
  readonly #signal: AbortSignal;

  private constructor(parts: ArchiveParts, lease: string, signal: AbortSignal) {
    this.#parts = parts;
    this.#lease = lease;
    this.#signal = signal;
  }

  /** Runs a task whose content stays until it ends; what has no name by then is garbage. */
  static async run<T>(parts: ArchiveParts, signal: AbortSignal, task: (intake: Intake) => Promise<T>): Promise<T> {
    const lease = await parts.leases.create(leaseTtl);
    try {
      return await task(new Intake(parts, lease, signal));
    } finally {
      await parts.leases.delete(lease);
    }
  }

  /**
   * Stores a stream as a blob. When the digest is known and the blob is here, the stream is only read to its end.
   * @throws DATA_LOSS when the bytes are not what the digest says
   */
  async blob(
    source: AsyncIterable<Buffer>,
    digest: Digest | "",
    onChunk: (chunk: Buffer) => unknown,
  ): Promise<Committed> {
    const start = { digest, size: 0, lease: this.#lease, upload: "" };
    const { upload, offset, commit } = await this.#parts.receiver.begin(start, this.#signal);
    try {
      let at = 0;
      for await (const chunk of source) {
        this.#signal.throwIfAborted();
        await onChunk(chunk);
        const rest = at >= offset ? chunk : chunk.subarray(Math.min(chunk.length, offset - at));
        at += chunk.length;
        if (upload !== undefined && rest.length > 0) await upload.write(rest);
      }
      return await commit();
    } finally {
      await upload?.suspend();
    }
  }

  async document(content: Buffer): Promise<Committed> {
    return this.blob(toIterable(content), "", () => {});
  }

  async manifest(mediaType: string, content: Buffer): Promise<Digest> {
    return (await this.#parts.content.putManifest(mediaType, content, "", this.#lease)).digest;
  }

  /** Keeps an image under a name. @returns the id of the image that had the name */
  async keep(manifest: Digest, name: Reference | undefined, action: "load" | "import"): Promise<Digest | undefined> {
    return (await this.#parts.images.keep(manifest, name, action)).replaced;
  }
}

async function* toIterable(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}
