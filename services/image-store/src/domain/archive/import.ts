import { createHash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { BerthError } from "@berth/errors";
import { type Digest, hostPlatform, MediaType, type Platform, parseReference, withDefaultTag } from "@berth/oci";
import { extract } from "tar-stream";
import { type ArchiveParts, Intake } from "./archives.ts";
import { archiveError, type Packing, packingOf, peek, unpacker } from "./incoming.ts";

export interface ImportOptions {
  /** name[:tag]; empty for none */
  reference: string;
  comment: string;
  /** JSON of an image config's "config" object; empty for none */
  config: Buffer;
  platform: Platform | undefined;
}

const layerTypes: Record<Packing, string> = {
  none: MediaType.ociLayer,
  gzip: MediaType.ociLayerGzip,
  zstd: MediaType.ociLayerZstd,
};

/**
 * Makes a one-layer image of a root file system's tar (plain, gzip or zstd). The layer is stored as it came.
 * @returns the image's id
 * @throws INVALID_ARGUMENT, NOT_IMPLEMENTED (bzip2, xz), RESOURCE_EXHAUSTED
 */
export async function importTar(
  parts: ArchiveParts,
  options: ImportOptions,
  source: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<Digest> {
  const name = options.reference === "" ? undefined : withDefaultTag(parseReference(options.reference));
  if (name?.digest !== undefined) throw new BerthError("INVALID_ARGUMENT", "cannot import digest reference");
  const runtime = parseRuntime(options.config);
  const { platform } = options;
  if (platform !== undefined && platform.os !== "linux")
    throw new BerthError("INVALID_ARGUMENT", "operating system is not supported");
  const { start, all } = await peek(source);
  const packing = packingOf(start);
  return Intake.run(parts, signal, async (intake) => {
    const check = new TarCheck(packing);
    const layer = await intake.blob(all, "", (chunk) => check.take(chunk));
    const config = await intake.document(makeConfig(options, runtime, await check.diffId()));
    const manifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, ...config },
      layers: [{ mediaType: layerTypes[packing], ...layer }],
    };
    const digest = await intake.manifest(MediaType.ociManifest, Buffer.from(JSON.stringify(manifest)));
    await intake.keep(digest, name, "import");
    return config.digest;
  });
}

/** Unpacks what goes by, hashes it, and reads it as a tar, so that nothing else becomes a layer. */
class TarCheck {
  readonly #unpacker;
  readonly #hash = createHash("sha256");
  readonly #done: Promise<void>;

  constructor(packing: Packing) {
    this.#unpacker = unpacker(packing);
    const tar = extract();
    tar.on("entry", (_header, stream, next) => {
      stream.on("end", next);
      stream.resume();
    });
    this.#unpacker.on("data", (chunk: Buffer) => this.#hash.update(chunk));
    this.#done = pipeline(this.#unpacker, tar);
    this.#done.catch(() => {});
  }

  async take(chunk: Buffer): Promise<void> {
    if (this.#unpacker.destroyed) await this.#failed();
    if (this.#unpacker.write(chunk)) return;
    const drained = new Promise<void>((resolve) => this.#unpacker.once("drain", resolve));
    await Promise.race([drained, this.#failed()]);
  }

  async diffId(): Promise<Digest> {
    this.#unpacker.end();
    await this.#failed();
    return `sha256:${this.#hash.digest("hex")}`;
  }

  async #failed(): Promise<void> {
    await this.#done.catch((error: unknown) => {
      throw archiveError(error);
    });
  }
}

function parseRuntime(config: Buffer): Record<string, unknown> {
  if (config.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(config.toString("utf8"));
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new BerthError("INVALID_ARGUMENT", "the image's config is not a JSON object");
}

function makeConfig(options: ImportOptions, runtime: Record<string, unknown>, diffId: Digest): Buffer {
  const created = new Date().toISOString();
  const { os, architecture, variant } = options.platform ?? hostPlatform();
  const comment = options.comment === "" ? {} : { comment: options.comment };
  return Buffer.from(
    JSON.stringify({
      created,
      architecture,
      os,
      ...(variant && { variant }),
      ...comment,
      config: runtime,
      rootfs: { type: "layers", diff_ids: [diffId] },
      history: [{ created, ...comment }],
    }),
  );
}
