import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { type Digest, digestOf, isDigest, maxManifestBytes } from "@berth/oci";
import type { Fault } from "../fault.ts";
import { blobPath, fileError, isErrno, type Layout, openLayout, partPath, sizeOf } from "./files.ts";
import { Growth } from "./growth.ts";
import { type Committed, Upload } from "./upload.ts";

/** An unfinished upload that nobody has gone on with for so long is given up. ms */
const partLifetime = 7 * 24 * 3600 * 1000;

/** What an upload begins with: a place to write to, or the news that the blob is there already. */
export type Begun = { upload: Upload } | { present: Committed };

/** Blobs as files named by their digest. A name appears only when all the bytes behind it are on the disk and checked. */
export class BlobStore {
  readonly layout: Layout;
  readonly #fault: Fault;
  /** Ends of the uploads under way, by part: the next writer of the same part waits for the one before. */
  readonly #writers = new Map<string, Promise<void>>();
  readonly #growths = new Map<Digest, Growth>();

  private constructor(layout: Layout, fault: Fault) {
    this.layout = layout;
    this.#fault = fault;
  }

  /** Opens the directory and removes what a crash left half-made there. */
  static async open(dir: string, fault: Fault = () => {}): Promise<BlobStore> {
    const store = new BlobStore(await openLayout(dir), fault);
    await store.sweepParts(true);
    return store;
  }

  path(digest: Digest): string {
    return blobPath(this.layout, digest);
  }

  /** Bytes of a whole blob; undefined when it is not there, or not whole yet. */
  async size(digest: Digest): Promise<number | undefined> {
    checkDigest(digest);
    return sizeOf(this.path(digest));
  }

  /** Bytes there of a blob that is not whole: being uploaded, or left by an upload that stopped. */
  async partSize(digest: Digest): Promise<number | undefined> {
    return this.#growths.get(digest)?.available || (await sizeOf(partPath(this.layout, digest)));
  }

  /**
   * Begins or resumes the upload of a blob of known digest. Waits while someone else uploads the same blob.
   * @param size bytes, 0 when not known; a blob that is there with another size is checked, and dropped when torn
   */
  async begin(digest: Digest, size: number, signal: AbortSignal): Promise<Begun> {
    checkDigest(digest);
    const path = partPath(this.layout, digest);
    const release = await this.#acquire(path, signal);
    try {
      const present = await this.size(digest);
      if (present !== undefined && (size === 0 || present === size || (await this.verify(digest)))) {
        release();
        return { present: { digest, size: present } };
      }
    } catch (error) {
      release();
      throw error;
    }
    const growth = this.growth(digest);
    const onEnd = (): void => {
      release();
      this.forget(digest, growth);
    };
    const options = { layout: this.layout, path, digest, size, growth, fault: this.#fault, resumable: true, onEnd };
    return { upload: await Upload.open(options, signal) };
  }

  /** Begins an upload whose digest is not known before its end. A name makes it one that can be resumed. */
  async beginUnknown(name: string | undefined, size: number, signal: AbortSignal): Promise<Upload> {
    if (name !== undefined && !/^[A-Za-z0-9_.-]{1,100}$/.test(name)) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        "an upload's name has 1 to 100 letters, digits, dots, dashes, underscores",
      );
    }
    const path = join(this.layout.uploads, name === undefined ? `anonymous-${randomUUID()}` : `named-${name}`);
    const onEnd = await this.#acquire(path, signal);
    const common = { layout: this.layout, path, digest: undefined, size, growth: undefined, fault: this.#fault };
    return Upload.open({ ...common, resumable: name !== undefined, onEnd }, signal);
  }

  /** Stores bytes at hand. */
  async put(content: Buffer): Promise<Committed> {
    const begun = await this.begin(digestOf(content), content.length, new AbortController().signal);
    if ("present" in begun) return begun.present;
    const { upload } = begun;
    if (upload.offset < content.length) await upload.write(content.subarray(upload.offset));
    return upload.commit();
  }

  /**
   * A small blob (manifest, config), checked.
   * @throws NOT_FOUND; DATA_LOSS when the bytes are not what the digest says
   */
  async readSmall(digest: Digest): Promise<Buffer> {
    checkDigest(digest);
    const path = this.path(digest);
    const size = await sizeOf(path);
    if (size === undefined) throw noSuchBlob(digest);
    if (size > maxManifestBytes)
      throw new BerthError("INVALID_ARGUMENT", `blob ${digest} has ${size} bytes: too many for a document`);
    const content = await readFile(path).catch((error: unknown) => {
      throw fileError(error, path);
    });
    if (digestOf(content) !== digest) throw new BerthError("DATA_LOSS", `blob ${digest} is damaged`, { digest });
    return content;
  }

  /** Hashes a whole blob again, and deletes it when it is not what its name says. */
  async verify(digest: Digest): Promise<boolean> {
    const hash = createHash("sha256");
    try {
      for await (const chunk of createReadStream(this.path(digest), { highWaterMark: 1024 * 1024 }))
        hash.update(chunk as Buffer);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw fileError(error, this.path(digest));
    }
    if (`sha256:${hash.digest("hex")}` === digest) return true;
    await this.remove(digest);
    return false;
  }

  /** Not synced: a blob that a power cut brings back has no name, or is damaged still, and is found so again. */
  async remove(digest: Digest): Promise<void> {
    await rm(this.path(digest), { force: true });
  }

  /** Every whole blob, in no order. */
  async *list(): AsyncGenerator<Committed> {
    for (const prefix of await readdir(this.layout.blobs)) {
      for (const hex of await readdir(join(this.layout.blobs, prefix))) {
        const digest = `sha256:${hex}`;
        const size = isDigest(digest) ? await this.size(digest) : undefined;
        if (size !== undefined) yield { digest, size };
      }
    }
  }

  /** The growth of a blob that is not whole yet. Whoever takes it calls {@link forget} when done. */
  growth(digest: Digest): Growth {
    let growth = this.#growths.get(digest);
    if (growth === undefined || growth.state === "failed" || growth.state === "complete") {
      growth = new Growth();
      this.#growths.set(digest, growth);
    }
    return growth;
  }

  /** Drops a growth that nobody writes or follows any more, and the second name that its followers needed. */
  forget(digest: Digest, growth: Growth): void {
    if (growth.followers > 0 || growth.state === "open") return;
    if (this.#growths.get(digest) === growth) this.#growths.delete(digest);
    // The name may belong to a newer upload by now (the blob was removed and is on its way in again); leave it then.
    const path = partPath(this.layout, digest);
    if (growth.state === "complete" && !this.#writers.has(path)) void rm(path, { force: true }).catch(() => {});
  }

  get(digest: Digest): Growth | undefined {
    return this.#growths.get(digest);
  }

  partPath(digest: Digest): string {
    return partPath(this.layout, digest);
  }

  /** Removes unfinished files that nobody can or will go on with. At start nobody holds any of them. */
  async sweepParts(atStart = false): Promise<void> {
    for (const name of await readdir(this.layout.uploads)) {
      const path = join(this.layout.uploads, name);
      if (this.#writers.has(path)) continue;
      const digest = name.replace(/^sha256-/, "sha256:");
      const isSecondName = atStart && isDigest(digest) && (await this.size(digest)) !== undefined;
      const isOrphan = atStart && name.startsWith("anonymous-");
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (isSecondName || isOrphan || Date.now() - mtimeMs > partLifetime) await rm(path, { force: true });
    }
  }

  /** Waits for the writer before, and returns what ends this one's turn. */
  async #acquire(path: string, signal: AbortSignal): Promise<() => void> {
    const aborted = abortion(signal);
    for (let before = this.#writers.get(path); before !== undefined; before = this.#writers.get(path)) {
      await Promise.race([before, aborted]);
      signal.throwIfAborted();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#writers.set(path, promise);
    return () => {
      if (this.#writers.get(path) === promise) this.#writers.delete(path);
      resolve();
    };
  }
}

/** Resolves when the signal aborts; for use in a race. */
export function abortion(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function noSuchBlob(digest: Digest): BerthError {
  return new BerthError("NOT_FOUND", `no such blob: ${digest}`, { digest });
}

function checkDigest(digest: Digest): void {
  if (!isDigest(digest) || !digest.startsWith("sha256:")) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `invalid blob digest ${JSON.stringify(digest.slice(0, 200))}: sha256 is needed`,
    );
  }
}
