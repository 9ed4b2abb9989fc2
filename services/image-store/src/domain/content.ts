import { BerthError } from "@berth/errors";
import {
  chainIds,
  type Descriptor,
  type Digest,
  digestOf,
  hostPlatform,
  type ImageConfig,
  type ImageManifest,
  isIndexType,
  isManifestType,
  maxManifestBytes,
  parseConfig,
  parseIndex,
  parseManifest,
  selectPlatform,
  sniffMediaType,
} from "@berth/oci";
import { type BlobStore, noSuchBlob } from "./blobs/blob-store.ts";
import type { Catalog } from "./catalog.ts";
import type { Fault } from "./fault.ts";
import type { Leases } from "./leases.ts";
import type { Gate } from "./locks.ts";
import type { ImageRecord, LayerRecord, ManifestRecord } from "./records.ts";

export interface ContentParts {
  blobs: BlobStore;
  catalog: Catalog;
  leases: Leases;
  /** Passed by whoever adds content, closed by whoever deletes it. */
  gate: Gate;
  fault: Fault;
}

/** Configs are read again and again (every inspect, every create); this many bytes of them stay in memory. */
const cacheBytes = 16 * 1024 * 1024;

/** Manifests and configs: documents that name other content. */
export class Content {
  readonly #parts: ContentParts;
  readonly #cache = new Map<Digest, Buffer>();
  #cached = 0;

  constructor(parts: ContentParts) {
    this.#parts = parts;
  }

  /**
   * Stores a manifest or index after checking it.
   * @throws INVALID_ARGUMENT for a wrong document or digest; NOT_FOUND when a blob it names is missing
   */
  async putManifest(mediaType: string, content: Buffer, digest: string, lease: string): Promise<Descriptor> {
    if (content.length > maxManifestBytes) {
      throw new BerthError("INVALID_ARGUMENT", `a manifest has at most ${maxManifestBytes} bytes`);
    }
    const actual = digestOf(content);
    if (digest !== "" && digest !== actual) {
      throw new BerthError("INVALID_ARGUMENT", `the manifest has digest ${actual}, not ${digest.slice(0, 200)}`);
    }
    const { catalog, gate, leases, blobs, fault } = this.#parts;
    return gate.pass(async () => {
      const record = await this.#read(mediaType, content);
      await leases.hold(lease, [actual, ...(record.config === undefined ? [] : [record.config, ...record.names])]);
      await blobs.put(content);
      fault("manifest.blob");
      const known = catalog.manifest(actual);
      if (known === undefined) await catalog.apply([{ table: "manifests", key: actual, value: record }]);
      fault("manifest.record");
      return { mediaType: record.mediaType, digest: actual, size: content.length };
    });
  }

  async getManifest(digest: Digest): Promise<{ descriptor: Descriptor; content: Buffer }> {
    const record = this.#parts.catalog.manifest(digest);
    if (record === undefined) throw new BerthError("NOT_FOUND", `no such manifest: ${digest.slice(0, 200)}`);
    const content = await this.document(digest);
    return { descriptor: { mediaType: record.mediaType, digest, size: content.length }, content };
  }

  /** The bytes of a manifest or config, checked against their digest when they come from the disk. */
  async document(digest: Digest): Promise<Buffer> {
    const cached = this.#cache.get(digest);
    if (cached !== undefined) {
      this.#cache.delete(digest);
      this.#cache.set(digest, cached);
      return cached;
    }
    const content = await this.#parts.blobs.readSmall(digest);
    // Read by somebody else meanwhile, it must not count twice.
    if (this.#cache.has(digest)) return content;
    this.#cache.set(digest, content);
    this.#cached += content.length;
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cached <= cacheBytes) break;
      this.#cache.delete(oldest);
      this.#cached -= bytes.length;
    }
    return content;
  }

  forget(digest: Digest): void {
    this.#cached -= this.#cache.get(digest)?.length ?? 0;
    this.#cache.delete(digest);
  }

  /**
   * The manifest meant by a digest: the manifest itself, or the entry of an index that suits this host and is here, else
   * the first that is.
   * @throws NOT_FOUND
   */
  pickManifest(digest: Digest): Digest {
    const { catalog } = this.#parts;
    const record = catalog.manifest(digest);
    if (record?.config !== undefined) return digest;
    const there = (record?.names ?? []).filter((name) => catalog.manifest(name)?.config !== undefined);
    const images = there.map((name) => ({ name, platform: catalog.imageOfManifest(name)?.platform }));
    const known = images.flatMap(({ name, platform }) => (platform === undefined ? [] : [{ name, platform }]));
    const picked = selectPlatform(known, hostPlatform(), true)?.name ?? there[0];
    if (picked === undefined) throw new BerthError("NOT_FOUND", `no manifest of ${digest} is here`);
    return picked;
  }

  /** What is to be known of the image that a manifest describes. Reads manifest and config. */
  async describe(manifestDigest: Digest): Promise<ImageRecord> {
    const content = await this.document(manifestDigest);
    const manifest = parseManifest(content);
    const config = parseConfig(await this.document(manifest.config.digest));
    const layers = layerRecords(manifest, config);
    return {
      id: manifest.config.digest,
      manifests: [manifestDigest],
      layers,
      platform: config.platform,
      created: config.created ?? "",
      lastTagged: 0,
      storedSize: content.length + manifest.config.size + sum(manifest.layers.map(({ size }) => size)),
      parent: config.parent ?? "",
      comment: config.comment ?? config.history.at(-1)?.comment ?? "",
      labels: config.config?.Labels ?? {},
    };
  }

  async #read(mediaType: string, content: Buffer): Promise<ManifestRecord> {
    const type = mediaType || sniffMediaType(content) || "";
    if (isIndexType(type)) {
      const index = parseIndex(content, type);
      return { mediaType: index.mediaType, size: content.length, names: index.manifests.map((entry) => entry.digest) };
    }
    if (!isManifestType(type)) {
      throw new BerthError("INVALID_ARGUMENT", `unsupported manifest media type ${JSON.stringify(type.slice(0, 200))}`);
    }
    const manifest = parseManifest(content, type);
    const { config, layers } = manifest;
    for (const { digest, size } of [config, ...layers]) {
      const there = await this.#parts.blobs.size(digest);
      if (there === undefined) throw noSuchBlob(digest);
      if (there !== size) {
        throw new BerthError("INVALID_ARGUMENT", `blob ${digest} has ${there} bytes, the manifest says ${size}`);
      }
    }
    layerRecords(manifest, parseConfig(await this.document(config.digest)));
    const names = layers.map(({ digest }) => digest);
    return { mediaType: manifest.mediaType, size: content.length, config: config.digest, names };
  }
}

/** @throws INVALID_ARGUMENT when manifest and config do not tell of the same layers */
function layerRecords(manifest: ImageManifest, config: ImageConfig): LayerRecord[] {
  if (manifest.layers.length !== config.diffIds.length) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `the manifest has ${manifest.layers.length} layers, its config ${config.diffIds.length}`,
    );
  }
  const chain = chainIds(config.diffIds);
  return manifest.layers.map((blob, i) => ({ blob, diffId: config.diffIds[i] ?? "", chainId: chain[i] ?? "" }));
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
