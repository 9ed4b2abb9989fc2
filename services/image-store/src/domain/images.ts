import { BerthError } from "@berth/errors";
import {
  type Digest,
  familiarName,
  familiarString,
  isDigest,
  type Platform,
  parseReference,
  type Reference,
} from "@berth/oci";
import { type Catalog, noSuchImage, refKey } from "./catalog.ts";
import type { Content } from "./content.ts";
import type { Fault } from "./fault.ts";
import type { Leases } from "./leases.ts";
import type { Gate, Mutex } from "./locks.ts";
import type { Change, ImageEvent, ImageRecord } from "./records.ts";

/** An image as it is told to callers. */
export interface ImageView {
  image: ImageRecord;
  repoTags: string[];
  repoDigests: string[];
  /** The config's bytes; empty in a brief list. */
  config: Buffer;
}

export interface ImagesParts {
  catalog: Catalog;
  content: Content;
  leases: Leases;
  gate: Gate;
  /** One change of images and names at a time: each is decided on what the one before left. */
  changing: Mutex;
  fault: Fault;
  now?: () => number;
}

/** Images and their names. */
export class Images {
  readonly #parts: ImagesParts;

  constructor(parts: ImagesParts) {
    this.#parts = parts;
  }

  /** @throws NO_SUCH_IMAGE; DATA_LOSS when the config on the disk is damaged */
  async get(reference: string, platform?: Platform): Promise<ImageView> {
    const image = this.#parts.catalog.resolve(reference, platform);
    return this.view(image, await this.#parts.content.document(image.id));
  }

  view(image: ImageRecord, config: Buffer = Buffer.alloc(0)): ImageView {
    const names = this.#parts.catalog.namesOf(image.id);
    return {
      image,
      repoTags: names.filter((name) => name.digest === undefined).map(familiarString),
      repoDigests: names.filter((name) => name.digest !== undefined).map(familiarString),
      config,
    };
  }

  /**
   * Gives an image a name, which another image may lose by that; without a name it is only kept.
   * @param source name, id, or digest of a manifest or index
   * @param pulled what a registry had under the name; "" for a tag made by hand
   */
  tag(source: string, target: string, pulled: Digest | ""): Promise<{ imageId: Digest; changed: boolean }> {
    const name = target === "" ? undefined : parseReference(target);
    if (pulled !== "" && !isDigest(pulled))
      throw new BerthError("INVALID_ARGUMENT", "the pulled digest is not a digest");
    const { gate, changing } = this.#parts;
    return gate.pass(() =>
      changing.run(async () => {
        const { image, target: digest } = await this.#source(source);
        return this.#name(image, digest, name, pulled, name === undefined ? undefined : eventOf(image, name, pulled));
      }),
    );
  }

  /** Keeps a loaded or imported image, under a name if it has one, and tells so. */
  keep(
    manifest: Digest,
    name: Reference | undefined,
    action: "load" | "import",
  ): Promise<{ replaced: Digest | undefined }> {
    const { changing } = this.#parts;
    return changing.run(async () => {
      const { image } = await this.#source(manifest);
      const before = name && this.#parts.catalog.ref(refKey(name))?.imageId;
      const event: ImageEvent = { action, actorId: image.id, name: image.id, labels: image.labels };
      await this.#name(image, manifest, name, "", event);
      return { replaced: before === image.id ? undefined : before };
    });
  }

  /** Keeps a committed image, without a name yet, and tells so. `parent` is the image that it was made on. */
  create(manifest: Digest, parent: Digest | ""): Promise<void> {
    const { changing } = this.#parts;
    return changing.run(async () => {
      const { image } = await this.#source(manifest);
      const event: ImageEvent = { action: "create", actorId: image.id, name: image.id, labels: image.labels };
      await this.#name({ ...image, parent }, manifest, undefined, "", event);
    });
  }

  /** Says of an image that it was made on another. @throws INVALID_ARGUMENT when its layers are not that one's and more */
  setParent(id: Digest, parentId: Digest): Promise<void> {
    const { catalog, changing } = this.#parts;
    return changing.run(async () => {
      const image = catalog.resolve(id);
      const parent = catalog.resolve(parentId);
      const isBelow = parent.layers.every(({ diffId }, i) => image.layers[i]?.diffId === diffId);
      if (!isBelow || id === parentId)
        throw new BerthError("INVALID_ARGUMENT", `image ${parentId} is not a valid parent for ${id}`);
      if (image.parent === parentId) return;
      await catalog.apply([{ table: "images", key: id, value: { ...image, parent: parentId } }]);
    });
  }

  async #name(
    image: ImageRecord,
    target: Digest,
    name: Reference | undefined,
    pulled: Digest | "",
    event: ImageEvent | undefined,
  ): Promise<{ imageId: Digest; changed: boolean }> {
    const { catalog, leases, fault, now = Date.now } = this.#parts;
    const changes: Change[] = [];
    const names = name === undefined ? [] : [name];
    if (name !== undefined && pulled !== "" && name.digest === undefined) {
      names.push({ domain: name.domain, path: name.path, digest: pulled });
    }
    let changed = catalog.image(image.id) === undefined;
    for (const each of names) {
      const key = refKey(each);
      const value = { imageId: image.id, target: pulled || target };
      const before = catalog.ref(key);
      if (before?.imageId === value.imageId && before.target === value.target) continue;
      changes.push({ table: "refs", key, value });
      changed ||= before?.imageId !== image.id;
    }
    const known = catalog.image(image.id);
    if (known === undefined || changes.length > 0 || !image.manifests.every((m) => known.manifests.includes(m))) {
      const manifests = [...new Set([...(known?.manifests ?? []), ...image.manifests])];
      const lastTagged = names.length > 0 ? now() : (known?.lastTagged ?? 0);
      changes.push({ table: "images", key: image.id, value: { ...(known ?? image), manifests, lastTagged } });
    }
    if (event !== undefined) changes.push({ event });
    fault("tag.before");
    await catalog.apply(changes);
    fault("tag.after");
    leases.release([image.id, target, pulled, ...image.manifests, ...image.layers.map(({ blob }) => blob.digest)]);
    return { imageId: image.id, changed };
  }

  async #source(source: string): Promise<{ image: ImageRecord; target: Digest }> {
    const { catalog, content } = this.#parts;
    if (isDigest(source) && catalog.manifest(source) !== undefined) {
      return { image: await content.describe(content.pickManifest(source)), target: source };
    }
    if (isDigest(source) && catalog.image(source) === undefined) throw noSuchImage({ digest: source });
    const image = catalog.resolve(source);
    return { image, target: image.manifests[0] ?? image.id };
  }
}

/** Docker tells a pull by the name that was pulled, and all else by the image's id. */
function eventOf(image: ImageRecord, name: Reference, pulled: Digest | ""): ImageEvent {
  const familiar = familiarString(
    name.tag === undefined && name.digest === undefined ? { ...name, tag: "latest" } : name,
  );
  return pulled === ""
    ? { action: "tag", actorId: image.id, name: familiar, labels: image.labels }
    : { action: "pull", actorId: familiar, name: familiarName(name), labels: image.labels };
}
