import { BerthError } from "@berth/errors";
import { type Digest, familiarString, MediaType, parseConfig, type Reference } from "@berth/oci";
import type { ArchiveParts, Intake } from "./archives.ts";
import type { LoadMessage, StoredFile } from "./contents.ts";
import type { Packing } from "./incoming.ts";

const layerTypes: Record<Packing, string> = {
  none: MediaType.ociLayer,
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
};

/** The manifest of a config and its layers, as JSON. @throws INVALID_ARGUMENT, DATA_LOSS when they do not belong together */
export async function makeManifest({ blobs }: ArchiveParts, config: StoredFile, layers: StoredFile[]): Promise<Buffer> {
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

/** Keeps an image under its names, or under none, and tells of each. */
export async function keepAndTell(
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
