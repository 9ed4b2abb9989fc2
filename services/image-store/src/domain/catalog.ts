import { BerthError } from "@berth/errors";
import {
  type Digest,
  familiarString,
  formatPlatform,
  matchesPlatform,
  type Platform,
  parseAnyReference,
  parseReference,
  type Reference,
  referenceString,
  withDefaultTag,
} from "@berth/oci";
import type { Change, ImageRecord, ManifestRecord, Records, RefRecord } from "./records.ts";

/**
 * Images, names and manifests, wholly in memory (an image is about a kilobyte) and written through to the records: what
 * is read here is on the disk. Look-ups are synchronous, so that resolving an image costs a container's start nothing.
 */
export class Catalog {
  readonly #records: Records;
  readonly #refs = new Map<string, RefRecord>();
  readonly #images = new Map<Digest, ImageRecord>();
  readonly #manifests = new Map<Digest, ManifestRecord>();
  /** Names of each image, for the other direction. */
  readonly #names = new Map<Digest, Set<string>>();

  private constructor(records: Records) {
    this.#records = records;
  }

  static async open(records: Records): Promise<Catalog> {
    const catalog = new Catalog(records);
    for await (const [key, value] of records.load("manifests")) catalog.#manifests.set(key, value);
    for await (const [key, value] of records.load("images")) catalog.#images.set(key, value);
    for await (const [key, value] of records.load("refs")) catalog.#setRef(key, value);
    return catalog;
  }

  /** Applies changes durably, then shows them to readers. */
  async apply(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    await this.#records.apply(changes);
    for (const change of changes) if ("table" in change) this.#show(change);
  }

  manifest(digest: Digest): ManifestRecord | undefined {
    return this.#manifests.get(digest);
  }

  manifests(): IterableIterator<[Digest, ManifestRecord]> {
    return this.#manifests.entries();
  }

  image(id: Digest): ImageRecord | undefined {
    return this.#images.get(id);
  }

  images(): IterableIterator<ImageRecord> {
    return this.#images.values();
  }

  refs(): IterableIterator<[string, RefRecord]> {
    return this.#refs.entries();
  }

  ref(name: string): RefRecord | undefined {
    return this.#refs.get(name);
  }

  /** All names of an image, in order: a repository's tags, then its digests. */
  namesOf(id: Digest): Reference[] {
    return [...(this.#names.get(id) ?? [])].sort().map(parseReference);
  }

  childrenOf(id: Digest): ImageRecord[] {
    return [...this.#images.values()].filter((image) => image.parent === id);
  }

  /** Images that any name or id was given for, by their manifest. */
  imageOfManifest(digest: Digest): ImageRecord | undefined {
    const config = this.#manifests.get(digest)?.config;
    return config === undefined ? undefined : this.#images.get(config);
  }

  /**
   * The image a person means: name[:tag], name@digest, id, or the beginning of an id that only one image has.
   * @throws NO_SUCH_IMAGE, INVALID_ARGUMENT, both with Docker's texts
   */
  resolve(text: string, platform?: Platform): ImageRecord {
    const reference = parseAnyReference(text);
    const image = this.#lookUp(reference, text);
    if (image === undefined) throw noSuchImage(reference);
    if (platform !== undefined && platform.os !== "" && !matchesPlatform(platform, image.platform)) {
      return this.#otherPlatform(reference, platform, image);
    }
    return image;
  }

  #lookUp(reference: Reference | { digest: Digest }, text: string): ImageRecord | undefined {
    if (!("path" in reference)) return this.#images.get(reference.digest) ?? this.imageOfManifest(reference.digest);
    const ref = this.#refs.get(refKey(reference));
    return (ref && this.#images.get(ref.imageId)) ?? this.byPrefix(text);
  }

  /** The only image whose id begins so; undefined for none or several. */
  byPrefix(text: string): ImageRecord | undefined {
    const prefix = text.startsWith("sha256:") ? text.slice(7) : text;
    if (!/^[a-f0-9]{1,64}$/.test(prefix)) return undefined;
    const wanted = `sha256:${prefix}`;
    let found: ImageRecord | undefined;
    for (const image of this.#images.values()) {
      if (!image.id.startsWith(wanted)) continue;
      if (found !== undefined) return undefined;
      found = image;
    }
    return found;
  }

  /** The name may stand for an index of which another entry was pulled as well. */
  #otherPlatform(reference: Reference | { digest: Digest }, platform: Platform, image: ImageRecord): ImageRecord {
    const target = "path" in reference ? this.#refs.get(refKey(reference))?.target : undefined;
    for (const digest of (target && this.#manifests.get(target)?.names) || []) {
      const other = this.imageOfManifest(digest);
      if (other !== undefined && matchesPlatform(platform, other.platform)) return other;
    }
    const name = familiarString("path" in reference ? withDefaultTag(reference) : reference);
    throw new BerthError(
      "NO_SUCH_IMAGE",
      `image with reference ${name} was found but its platform (${formatPlatform(image.platform)}) does not match the specified platform (${formatPlatform(platform)})`,
    );
  }

  #show(change: Extract<Change, { table: string }>): void {
    if (change.table === "refs") this.#setRef(change.key, change.value);
    else if (change.table === "images") set(this.#images, change.key, change.value);
    else if (change.table === "manifests") set(this.#manifests, change.key, change.value);
  }

  #setRef(name: string, ref: RefRecord | undefined): void {
    const before = this.#refs.get(name);
    if (before !== undefined) this.#names.get(before.imageId)?.delete(name);
    if (before !== undefined && this.#names.get(before.imageId)?.size === 0) this.#names.delete(before.imageId);
    set(this.#refs, name, ref);
    if (ref === undefined) return;
    const names = this.#names.get(ref.imageId) ?? new Set();
    this.#names.set(ref.imageId, names.add(name));
  }
}

/** Under which a reference is kept: with a digest its tag says nothing more. */
export function refKey(reference: Reference): string {
  const { domain, path, digest } = reference;
  return referenceString(digest === undefined ? withDefaultTag(reference) : { domain, path, digest });
}

export function noSuchImage(reference: Reference | { digest: Digest }): BerthError {
  const name = familiarString("path" in reference ? withDefaultTag(reference) : reference);
  return new BerthError("NO_SUCH_IMAGE", `No such image: ${name}`, { image: name });
}

function set<V>(map: Map<string, V>, key: string, value: V | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}
