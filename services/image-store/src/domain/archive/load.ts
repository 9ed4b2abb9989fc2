import { posix } from "node:path";
import { BerthError } from "@berth/errors";
import {
  type Digest,
  digestHex,
  familiarString,
  isIndexType,
  isManifestType,
  MediaType,
  parseConfig,
  parseIndex,
  parseManifest,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@berth/oci";
import { type ArchiveParts, Intake } from "./archives.ts";
import { type Packing, packingOf, readTar, type TarEntry } from "./incoming.ts";

export type LoadMessage = { loaded: string } | { progress: { id: string; current: number; total: number } };

/** bytes of the documents that say what is in an archive */
const maxDocument = 8 * 1024 * 1024;
/** An archive with more files has not come from any docker save. */
const maxFiles = 20_000;
const documents = new Set(["manifest.json", "index.json"]);
/** What older archives hold for readers older still. */
const unused = /(?:^|\/)(?:json|VERSION|repositories|oci-layout)$/;

interface StoredFile {
  digest: Digest;
  /** bytes */
  size: number;
  packing: Packing;
}

/** An archive's files by their path: stored as blobs, or kept here when they are documents about the others. */
class Contents {
  readonly files = new Map<string, StoredFile>();
  readonly links = new Map<string, string>();
  readonly documents = new Map<string, Buffer>();

  /** @throws INVALID_ARGUMENT */
  file(path: string): StoredFile {
    let at = normalize(path);
    // Docker's old archives link equal layers to each other.
    for (let hops = 0; hops < 32; hops++) {
      const found = this.files.get(at);
      if (found !== undefined) return found;
      const target = this.links.get(at);
      if (target === undefined) break;
      at = target;
    }
    throw new BerthError("INVALID_ARGUMENT", `invalid archive: ${JSON.stringify(path.slice(0, 200))} is not in it`);
  }

  blob(digest: Digest): StoredFile | undefined {
    return this.files.get(blobName(digest));
  }
}

/**
 * Stores the images of a docker-save archive (old or new) or an OCI layout, as it streams in. An image has its names only
 * when all of it is there; a failure leaves those before it loaded, as Docker does.
 * @throws INVALID_ARGUMENT, DATA_LOSS, RESOURCE_EXHAUSTED
 */
export async function load(
  parts: ArchiveParts,
  source: AsyncIterable<Buffer>,
  tell: (message: LoadMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  await Intake.run(parts, signal, async (intake) => {
    const contents = await readContents(intake, source, tell, signal);
    const manifest = contents.documents.get("manifest.json");
    const index = contents.documents.get("index.json");
    if (manifest !== undefined) await loadSaved(parts, intake, contents, manifest, tell);
    else if (index !== undefined) await loadLayout(parts, intake, contents, index, tell);
    else throw new BerthError("INVALID_ARGUMENT", "invalid archive: it has neither manifest.json nor index.json");
  });
}

async function readContents(
  intake: Intake,
  source: AsyncIterable<Buffer>,
  tell: (message: LoadMessage) => void,
  signal: AbortSignal,
): Promise<Contents> {
  const contents = new Contents();
  let count = 0;
  for await (const entry of readTar(source, signal)) {
    const name = normalize(entry.header.name);
    if (++count > maxFiles) throw new BerthError("INVALID_ARGUMENT", `invalid archive: more than ${maxFiles} files`);
    const { type, linkname } = entry.header;
    if (type === "symlink") contents.links.set(name, normalize(posix.join(posix.dirname(name), linkname ?? "")));
    else if (type === "link") contents.links.set(name, normalize(linkname ?? ""));
    else if (type === "file" && documents.has(name)) contents.documents.set(name, await readDocument(entry));
    else if (type === "file" && !unused.test(name))
      contents.files.set(name, await storeFile(intake, name, entry, tell));
    entry.resume();
  }
  return contents;
}

async function readDocument(entry: TarEntry): Promise<Buffer> {
  const { name, size = 0 } = entry.header;
  if (size > maxDocument) throw new BerthError("INVALID_ARGUMENT", `invalid archive: ${name} has ${size} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function storeFile(
  intake: Intake,
  name: string,
  entry: TarEntry,
  tell: (message: LoadMessage) => void,
): Promise<StoredFile> {
  const total = entry.header.size ?? 0;
  const named = /^blobs\/sha256\/([a-f0-9]{64})$/.exec(name)?.[1];
  const id = (named ?? name.replace(/\/layer\.tar$/, "")).slice(0, 12);
  let packing: Packing | undefined;
  let current = 0;
  const committed = await intake.blob(
    entry as AsyncIterable<Buffer>,
    named === undefined ? "" : `sha256:${named}`,
    (chunk) => {
      packing ??= packingOf(chunk);
      current += chunk.length;
      // Documents are no layers; people want to see what takes long.
      if (total > 64 * 1024) tell({ progress: { id, current, total } });
    },
  );
  return { ...committed, packing: packing ?? "none" };
}

interface SavedImage {
  Config: string;
  RepoTags: string[] | null;
  /** null of an image without any */
  Layers: string[] | null;
  /** The image that it was made on; it counts if it is in the archive too. */
  Parent?: string;
}

/** docker save: manifest.json lists the images. */
async function loadSaved(
  parts: ArchiveParts,
  intake: Intake,
  contents: Contents,
  document: Buffer,
  tell: (message: LoadMessage) => void,
): Promise<void> {
  const parents = new Map<Digest, string>();
  for (const { Config, RepoTags, Layers, Parent = "" } of parseSaved(document)) {
    const config = contents.file(Config);
    const layers = (Layers ?? []).map((path) => contents.file(path));
    const names = (RepoTags ?? []).map((tag) => withDefaultTag(parseReference(tag)));
    const original = await originalManifest(parts, contents, config.digest);
    const manifest =
      original === undefined
        ? await intake.manifest(MediaType.ociManifest, await makeManifest(parts, config, layers))
        : await intake.manifest("", original);
    await keepAndTell(intake, manifest, config.digest, names, tell);
    parents.set(config.digest, Parent);
  }
  // A parent may come after its children.
  for (const [id, parent] of parents) if (parents.has(parent)) await parts.images.setParent(id, parent);
}

function parseSaved(document: Buffer): SavedImage[] {
  const wrong = (): BerthError =>
    new BerthError("INVALID_ARGUMENT", "invalid archive: manifest.json is not a list of images");
  let parsed: unknown;
  try {
    parsed = JSON.parse(document.toString("utf8"));
  } catch {
    throw wrong();
  }
  const isStrings = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((item) => typeof item === "string");
  const isImage = (value: unknown): value is SavedImage => {
    const { Config, RepoTags, Layers, Parent } = (value ?? {}) as Record<string, unknown>;
    return (
      typeof Config === "string" &&
      (Layers === null || isStrings(Layers)) &&
      (RepoTags === null || RepoTags === undefined || isStrings(RepoTags)) &&
      (Parent === undefined || typeof Parent === "string")
    );
  };
  if (!Array.isArray(parsed) || parsed.length > 1000 || !parsed.every(isImage)) throw wrong();
  return parsed;
}

/** Newer archives are OCI layouts as well: then the manifest, and so its digest, stays what it was. */
async function originalManifest(
  { blobs }: ArchiveParts,
  contents: Contents,
  config: Digest,
): Promise<Buffer | undefined> {
  const index = contents.documents.get("index.json");
  if (index === undefined) return undefined;
  for (const { digest, mediaType } of parseIndex(index).manifests) {
    if (!isManifestType(mediaType) || contents.blob(digest) === undefined) continue;
    const content = await blobs.readSmall(digest);
    const manifest = readable(content, mediaType);
    if (manifest?.config.digest !== config) continue;
    if (manifest.layers.every((layer) => contents.blob(layer.digest)?.size === layer.size)) return content;
  }
  return undefined;
}

/** A manifest that the standard doesn't allow is none: manifest.json says enough to make another. */
function readable(content: Buffer, mediaType: string): ReturnType<typeof parseManifest> | undefined {
  try {
    return parseManifest(content, mediaType);
  } catch {
    return undefined;
  }
}

const layerTypes: Record<Packing, string> = {
  none: MediaType.ociLayer,
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
};

async function makeManifest({ blobs }: ArchiveParts, config: StoredFile, layers: StoredFile[]): Promise<Buffer> {
  const { diffIds } = parseConfig(await blobs.readSmall(config.digest));
  if (diffIds.length !== layers.length) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`,
    );
  }
  for (const [i, layer] of layers.entries()) {
    // A packed layer's diff id is known only once it is unpacked, and is checked then.
    if (layer.packing !== "none" || layer.digest === diffIds[i]) continue;
    throw new BerthError("DATA_LOSS", `invalid diffID for layer ${i}: expected "${diffIds[i]}", got "${layer.digest}"`);
  }
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: config.digest, size: config.size },
      layers: layers.map(({ digest, size, packing }) => ({ mediaType: layerTypes[packing], digest, size })),
    }),
  );
}

/** An OCI layout: index.json lists manifests, or indexes of them. */
async function loadLayout(
  parts: ArchiveParts,
  intake: Intake,
  contents: Contents,
  document: Buffer,
  tell: (message: LoadMessage) => void,
): Promise<void> {
  for (const { digest, mediaType, annotations } of parseIndex(document).manifests) {
    const content = await parts.blobs.readSmall(digest);
    if (isIndexType(mediaType)) {
      let found = 0;
      for (const entry of parseIndex(content, mediaType).manifests) {
        if (contents.blob(entry.digest) === undefined || !isManifestType(entry.mediaType)) continue;
        await intake.manifest(entry.mediaType, await parts.blobs.readSmall(entry.digest));
        found++;
      }
      if (found === 0)
        throw new BerthError("INVALID_ARGUMENT", `invalid archive: it has none of the manifests of ${digest}`);
    }
    await intake.manifest(mediaType, content);
    const image = await parts.content.describe(parts.content.pickManifest(digest));
    await keepAndTell(intake, digest, image.id, layoutNames(annotations), tell);
  }
}

/** What built the layout says the image's name in one of two annotations; the standard's own may be a bare tag. */
function layoutNames(annotations: Record<string, string> = {}): Reference[] {
  const name = annotations["io.containerd.image.name"] ?? annotations["org.opencontainers.image.ref.name"];
  if (name === undefined || (annotations["io.containerd.image.name"] === undefined && !/[:/]/.test(name))) return [];
  return [withDefaultTag(parseReference(name))];
}

async function keepAndTell(
  intake: Intake,
  manifest: Digest,
  imageId: Digest,
  names: Reference[],
  tell: (message: LoadMessage) => void,
): Promise<void> {
  if (names.length === 0) {
    await intake.keep(manifest, undefined, "load");
    tell({ loaded: `Loaded image ID: ${imageId}` });
  }
  for (const name of names) {
    const replaced = await intake.keep(manifest, name, "load");
    const familiar = familiarString(name);
    if (replaced !== undefined) {
      tell({
        loaded: `The image ${familiar} already exists, renaming the old one with ID ${replaced} to empty string`,
      });
    }
    tell({ loaded: `Loaded image: ${familiar}` });
  }
}

/** Without leading dots and slashes, and never above the archive's root. */
function normalize(path: string): string {
  return posix.normalize(`/${path}`).slice(1).replace(/\/$/, "");
}

export function blobName(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}
