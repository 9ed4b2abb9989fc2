import type { Digest } from "@berth/oci";
import type { BlobStore } from "./blobs/blob-store.ts";
import type { Committed, Upload } from "./blobs/upload.ts";
import type { Leases } from "./leases.ts";
import type { Gate } from "./locks.ts";

export interface BlobStart {
  /** Empty when not known; then `upload` may name an upload that is to be resumed. */
  digest: Digest | "";
  /** bytes; 0 when not known */
  size: number;
  lease: string;
  upload: string;
}

/** An upload under its lease. `present` is set when the blob was there; then there is nothing to write. */
export interface Reception {
  offset: number;
  upload: Upload | undefined;
  commit(): Promise<Committed>;
}

/** Takes in blobs so that no collection of garbage gets between their arrival and their lease. */
export class Receiver {
  readonly #blobs: BlobStore;
  readonly #leases: Leases;
  readonly #gate: Gate;

  constructor(blobs: BlobStore, leases: Leases, gate: Gate) {
    this.#blobs = blobs;
    this.#leases = leases;
    this.#gate = gate;
  }

  async begin(start: BlobStart, signal: AbortSignal): Promise<Reception> {
    const { digest, size, lease, upload: name } = start;
    if (digest === "") {
      const upload = await this.#blobs.beginUnknown(name === "" ? undefined : name, size, signal);
      return { offset: upload.offset, upload, commit: () => this.#commitUnknown(upload, lease) };
    }
    await this.#gate.pass(() => this.#leases.hold(lease, [digest]));
    const begun = await this.#blobs.begin(digest, size, signal);
    if ("present" in begun) {
      const { present } = begun;
      return { offset: present.size, upload: undefined, commit: async () => present };
    }
    return { offset: begun.upload.offset, upload: begun.upload, commit: () => begun.upload.commit() };
  }

  #commitUnknown(upload: Upload, lease: string): Promise<Committed> {
    return this.#gate.pass(async () => {
      const committed = await upload.commit();
      await this.#leases.hold(lease, [committed.digest]);
      return committed;
    });
  }
}
