import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { BerthError, isBerthError } from "@berth/errors";
import { type Digest, familiarString, MediaType, parseAnyReference, type Reference, referenceString } from "@berth/oci";
import { type Pack, pack } from "tar-stream";
import type { ImageRecord } from "../records.ts";
import type { ArchiveParts } from "./archives.ts";
import { blobName } from "./contents.ts";

interface SavedImage {
  image: ImageRecord;
  names: Reference[];
}

/** bytes read from a blob at once */
const chunkSize = 256 * 1024;

/**
 * The docker-save archive of images: an OCI layout with a manifest.json, blobs as they are stored.
 * @param references as `docker save` takes them: a name without a tag means all its tags
 * @throws NO_SUCH_IMAGE, DATA_LOSS
 */
export async function* save(
  parts: ArchiveParts,
  references: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (references.length === 0) throw new BerthError("INVALID_ARGUMENT", "no images to save");
  const images = chooseImages(parts, references);
  const blobs = await blobsOf(parts, images);
  const tar = pack();
  const writing = writeArchive(parts, tar, images, blobs, signal);
  writing.catch((error: unknown) => tar.destroy(error as Error));
  try {
    for await (const chunk of tar) yield chunk as Buffer;
    await writing;
  } finally {
    tar.destroy();
  }
  const told = images.map(
    ({ image: { id, labels } }) => ({ event: { action: "save", actorId: id, name: id, labels } }) as const,
  );
  await parts.catalog.apply(told);
}

/** Docker names an image that can't be saved as it was asked for. */
function resolveAs(catalog: Catalog, reference: string, text: string): ImageRecord {
  try {
    return catalog.resolve(reference);
  } catch (error) {
    if (!isBerthError(error) || error.reason !== "NO_SUCH_IMAGE") throw error;
    throw new BerthError("NO_SUCH_IMAGE", `No such image: ${text}`, {}, { cause: error });
  }
}

function chooseImages({ catalog }: ArchiveParts, references: readonly string[]): SavedImage[] {
  const chosen = new Map<Digest, SavedImage>();
  for (const text of references) {
    const reference = parseAnyReference(text);
    const isName = "path" in reference;
    const tags =
      isName && reference.tag === undefined && reference.digest === undefined ? tagsOf(catalog, reference) : [];
    const names = tags.length > 0 ? tags : [undefined];
    for (const name of names) {
      const image = resolveAs(catalog, name === undefined ? text : familiarString(name), text);
      const saved = chosen.get(image.id) ?? { image, names: [] };
      const own = name ?? (isName && isNamed(catalog, image, reference) ? reference : undefined);
      if (own?.tag !== undefined) saved.names.push(own);
      chosen.set(image.id, saved);
    }
  }
  return [...chosen.values()];
}

type Catalog = ArchiveParts["catalog"];

function tagsOf(catalog: Catalog, { domain, path }: Reference): Reference[] {
  const images = [...catalog.images()];
  return images
    .flatMap(({ id }) => catalog.namesOf(id))
    .filter((name) => name.domain === domain && name.path === path && name.tag !== undefined);
}

function isNamed(catalog: Catalog, image: ImageRecord, reference: Reference): boolean {
  return catalog.ref(referenceString(reference))?.imageId === image.id;
}

/** Every blob of the images once, with its size. @throws DATA_LOSS when one is missing */
async function blobsOf({ blobs }: ArchiveParts, images: readonly SavedImage[]): Promise<Map<Digest, number>> {
  const sizes = new Map<Digest, number>();
  for (const { image } of images) {
    const all = [image.id, image.manifests[0] ?? "", ...image.layers.map(({ blob }) => blob.digest)];
    for (const digest of all) {
      const size = await blobs.size(digest);
      if (size === undefined)
        throw new BerthError("DATA_LOSS", `blob ${digest} of image ${image.id} is missing`, { digest });
      sizes.set(digest, size);
    }
  }
  return sizes;
}

async function writeArchive(
  { blobs, content }: ArchiveParts,
  tar: Pack,
  images: readonly SavedImage[],
  sizes: ReadonlyMap<Digest, number>,
  signal: AbortSignal,
): Promise<void> {
  // A config has the time of its image, as Docker's archives have it.
  const times = new Map(images.map(({ image }) => [image.id, new Date(Date.parse(image.created) || 0)]));
  for (const [digest, size] of sizes) {
    const mtime = times.get(digest) ?? plain.mtime;
    const file = createReadStream(blobs.path(digest), { highWaterMark: chunkSize });
    await pipeline(file, tar.entry({ ...plain, mtime, name: blobName(digest), size }), { signal });
  }
  const types = new Map<Digest, string>();
  for (const { image } of images) {
    const manifest = image.manifests[0] ?? "";
    types.set(manifest, (await content.getManifest(manifest)).descriptor.mediaType);
  }
  await addDocument(tar, "index.json", layoutIndex(images, sizes, types));
  await addDocument(
    tar,
    "manifest.json",
    images.map((saved) => savedImage(saved, images)),
  );
  await addDocument(tar, "oci-layout", { imageLayoutVersion: "1.0.0" });
  tar.finalize();
}

/** Archives of the same images are the same to the byte. */
const plain = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };

function addDocument(tar: Pack, name: string, value: unknown): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(value));
  return pipeline(Readable.from([bytes]), tar.entry({ ...plain, name, size: bytes.length }));
}

function layoutIndex(
  images: readonly SavedImage[],
  sizes: ReadonlyMap<Digest, number>,
  types: ReadonlyMap<Digest, string>,
): object {
  const manifests = images.flatMap(({ image, names }) => {
    const digest = image.manifests[0] ?? "";
    const descriptor = { mediaType: types.get(digest), digest, size: sizes.get(digest) };
    if (names.length === 0) return [descriptor];
    return names.map((name) => ({
      ...descriptor,
      annotations: { "io.containerd.image.name": referenceString(name), "org.opencontainers.image.ref.name": name.tag },
    }));
  });
  return { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
}

function savedImage({ image, names }: SavedImage, all: readonly SavedImage[]): object {
  const hasParent = all.some((other) => other.image.id === image.parent);
  return {
    Config: blobName(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarString),
    Layers: image.layers.map(({ blob }) => blobName(blob.digest)),
    ...(hasParent ? { Parent: image.parent } : {}),
  };
}
