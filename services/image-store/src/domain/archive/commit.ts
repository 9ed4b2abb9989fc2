import { BerthError } from "@berth/errors";
import { type Digest, hostPlatform, MediaType, parseReference, withDefaultTag } from "@berth/oci";
import type { ImageRecord } from "../records.ts";
import { type ArchiveParts, Intake } from "./archives.ts";

export interface CommitOptions {
  /** Id of the image below; empty for none. */
  parent: string;
  /** JSON of an image config's "config" object, and of the container's. */
  config: Buffer;
  containerConfig: Buffer;
  containerId: string;
  author: string;
  comment: string;
  createdBy: string;
  /** name[:tag]; empty for none */
  reference: string;
}

/** An archive of nothing: two blocks of zeros. A container that changed nothing adds no layer. */
const emptyLayer: Digest = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/** The version of the engine that old clients expect to read. */
const dockerVersion = "28.5.2";

/**
 * Makes an image of the layer that a tar (uncompressed) is, on top of another image's. Until the end nothing names what came in.
 * @returns the image's id
 * @throws INVALID_ARGUMENT, NO_SUCH_IMAGE (parent), RESOURCE_EXHAUSTED
 */
export async function commitLayer(
  parts: ArchiveParts,
  options: CommitOptions,
  source: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<Digest> {
  const name = options.reference === "" ? undefined : withDefaultTag(parseReference(options.reference));
  const parent = options.parent === "" ? undefined : parts.catalog.resolve(options.parent);
  return Intake.run(parts, signal, async (intake) => {
    const layer = await intake.blob(source, "", () => {});
    const isEmpty = layer.digest === emptyLayer;
    const below = parent === undefined ? undefined : parse(await parts.content.document(parent.id));
    const config = await intake.document(makeConfig(options, below, isEmpty ? undefined : layer.digest));
    const layers = [
      ...(parent?.layers ?? []).map(({ blob: { mediaType, digest, size } }) => ({ mediaType, digest, size })),
      ...(isEmpty ? [] : [{ mediaType: MediaType.ociLayer, ...layer }]),
    ];
    const manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, ...config },
      layers,
    };
    const digest = await intake.manifest(MediaType.ociManifest, Buffer.from(JSON.stringify(manifest)));
    await parts.images.create(digest, parentId(parent));
    if (name !== undefined) await parts.images.tag(config.digest, options.reference, "");
    return config.digest;
  });
}

const parentId = (parent: ImageRecord | undefined): Digest | "" => parent?.id ?? "";

interface Below {
  architecture?: string;
  variant?: string;
  os?: string;
  "os.version"?: string;
  "os.features"?: string[];
  rootfs?: { diff_ids?: string[] };
  history?: object[];
}

function makeConfig(options: CommitOptions, below: Below | undefined, diffId: Digest | undefined): Buffer {
  const host = hostPlatform();
  const {
    architecture = host.architecture,
    os = host.os,
    variant = below === undefined ? host.variant : undefined,
  } = below ?? {};
  const { author, comment, containerId, createdBy } = options;
  const created = new Date().toISOString();
  const optional = {
    ...(author !== "" && { author }),
    ...(comment !== "" && { comment }),
  };
  const entry = {
    created,
    ...(author !== "" && { author }),
    ...(createdBy !== "" && { created_by: createdBy }),
    ...(comment !== "" && { comment }),
    ...(diffId === undefined && { empty_layer: true }),
  };
  return Buffer.from(
    JSON.stringify({
      architecture,
      ...(variant && { variant }),
      os,
      ...(below?.["os.version"] && { "os.version": below["os.version"] }),
      ...(below?.["os.features"] && { "os.features": below["os.features"] }),
      ...optional,
      config: parse(options.config),
      container: containerId,
      container_config: parse(options.containerConfig),
      created,
      docker_version: dockerVersion,
      history: [...(below?.history ?? []), entry],
      rootfs: {
        type: "layers",
        diff_ids: [...(below?.rootfs?.diff_ids ?? []), ...(diffId === undefined ? [] : [diffId])],
      },
    }),
  );
}

function parse(content: Buffer): Record<string, unknown> {
  if (content.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(content.toString("utf8"));
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new BerthError("INVALID_ARGUMENT", "the image's config is not a JSON object");
}
