import { BerthError } from "@berth/errors";
import {
  type Digest,
  isIndexType,
  isManifestType,
  MediaType,
  parseIndex,
  parseManifest,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@berth/oci";
import { type ArchiveParts, Intake } from "./archives.ts";
import { type Contents, type LoadMessage, readContents } from "./contents.ts";
import { loadLegacy } from "./legacy.ts";
import { keepAndTell, makeManifest } from "./manifest.ts";

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
    const repositories = contents.documents.get("repositories");
    if (manifest !== undefined) await loadSaved(parts, intake, contents, manifest, tell);
    else if (index !== undefined) await loadLayout(parts, intake, contents, index, tell);
    else if (repositories !== undefined) await loadLegacy(parts, intake, contents, repositories, tell);
    else throw new BerthError("INVALID_ARGUMENT", "invalid archive: it has neither manifest.json nor index.json");
  });
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
