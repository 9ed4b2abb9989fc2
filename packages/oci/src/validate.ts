import { BerthError } from "@berth/errors";
import { digestOf, isDigest } from "./digest.ts";
import { isIndexType, isManifestType, MediaType } from "./media.ts";
import type { Platform } from "./platform.ts";
import type { Descriptor, History, ImageConfig, ImageIndex, ImageManifest, RuntimeConfig } from "./types.ts";

/** bytes; the bound that registries (distribution-spec, "Pushing Manifests") must take, and we take no more. */
export const maxManifestBytes = 4 * 1024 * 1024;
/** Layers of one image. overlayfs takes fewer; Docker's own bound is 125. */
const maxLayers = 500;
/** Entries of one index. */
const maxEntries = 1024;

type Json = Record<string, unknown>;

/**
 * Reads an image manifest (OCI, or Docker schema 2).
 * @param content at most {@link maxManifestBytes}
 * @throws INVALID_ARGUMENT saying which field is wrong
 */
export function parseManifest(content: Uint8Array, mediaType?: string): ImageManifest {
  const json = parseJson(content, "manifest");
  const type = checkType(json, mediaType, isManifestType, MediaType.ociManifest, "manifest");
  if (json["manifests"] !== undefined) throw fault("manifest has both the fields of a manifest and of an index");
  const layers = array(json["layers"], "manifest.layers", maxLayers).map((layer, i) =>
    descriptor(layer, `manifest.layers[${i}]`),
  );
  const annotations = stringMap(json["annotations"], "manifest.annotations");
  const config = descriptor(json["config"], "manifest.config");
  return { mediaType: type, config, layers, ...(annotations === undefined ? {} : { annotations }) };
}

/** Reads an image index (OCI) or a manifest list (Docker). Throws as {@link parseManifest}. */
export function parseIndex(content: Uint8Array, mediaType?: string): ImageIndex {
  const json = parseJson(content, "index");
  const type = checkType(json, mediaType, isIndexType, MediaType.ociIndex, "index");
  if (json["layers"] !== undefined || json["config"] !== undefined) {
    throw fault("index has both the fields of an index and of a manifest");
  }
  const manifests = array(json["manifests"], "index.manifests", maxEntries).map((entry, i) =>
    descriptor(entry, `index.manifests[${i}]`),
  );
  const annotations = stringMap(json["annotations"], "index.annotations");
  return { mediaType: type, manifests, ...(annotations === undefined ? {} : { annotations }) };
}

/** Reads an image config (OCI config.md). Throws as {@link parseManifest}. */
export function parseConfig(content: Uint8Array): ImageConfig {
  const json = parseJson(content, "config");
  const rootfs = object(json["rootfs"], "config.rootfs");
  if (rootfs["type"] !== "layers") throw fault(`config.rootfs.type must be "layers"`);
  const diffIds = array(rootfs["diff_ids"] ?? [], "config.rootfs.diff_ids", maxLayers).map((id, i) => {
    if (typeof id !== "string" || !isDigest(id)) throw fault(`config.rootfs.diff_ids[${i}] is not a digest`);
    return id;
  });
  const history = array(json["history"] ?? [], "config.history", 4 * maxLayers).map(
    (entry, i) => object(entry, `config.history[${i}]`) as History,
  );
  const result: ImageConfig = { platform: platform(json, "config"), diffIds, history };
  if (json["config"] !== undefined && json["config"] !== null) {
    const runtime = object(json["config"], "config.config") as RuntimeConfig;
    stringMap(runtime["Labels"], "config.config.Labels");
    result.config = runtime;
  }
  for (const key of ["created", "author", "comment", "parent"] as const) {
    const value = optionalString(json[key], `config.${key}`);
    if (value !== undefined) result[key] = value;
  }
  return result;
}

/** What a document says it is; by its shape where it does not say. undefined when it is none of ours. */
export function sniffMediaType(content: Uint8Array): string | undefined {
  const json = parseJson(content, "manifest");
  const named = json["mediaType"];
  if (typeof named === "string" && named !== "") return named;
  if (json["schemaVersion"] === 1) return MediaType.dockerSchema1;
  if (Array.isArray(json["manifests"])) return MediaType.ociIndex;
  return Array.isArray(json["layers"]) ? MediaType.ociManifest : undefined;
}

function parseJson(content: Uint8Array, what: string): Json {
  if (content.length > maxManifestBytes) throw fault(`${what} is larger than ${maxManifestBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch (cause) {
    throw new BerthError("INVALID_ARGUMENT", `${what} is not JSON`, { digest: digestOf(content) }, { cause });
  }
  return object(value, what);
}

/** The document's own mediaType and the one it came under must be the same where both are there. */
function checkType(
  json: Json,
  given: string | undefined,
  isRight: (type: string) => boolean,
  fallback: string,
  what: string,
): string {
  if (json["schemaVersion"] !== 2) throw fault(`${what}.schemaVersion must be 2`);
  const own = optionalString(json["mediaType"], `${what}.mediaType`);
  const type = own ?? (given || fallback);
  if (!isRight(type)) throw fault(`${what} has media type ${JSON.stringify(type.slice(0, 200))}`);
  if (own !== undefined && given && isIndexType(own) !== isIndexType(given)) {
    throw fault(`${what} says it is ${own} but came as ${given.slice(0, 200)}`);
  }
  return type;
}

function descriptor(value: unknown, where: string): Descriptor {
  const json = object(value, where);
  const { mediaType, digest, size } = json;
  if (typeof mediaType !== "string" || mediaType === "" || mediaType.length > 255) {
    throw fault(`${where}.mediaType is missing or too long`);
  }
  if (typeof digest !== "string" || !isDigest(digest)) throw fault(`${where}.digest is not a digest`);
  if (!digest.startsWith("sha256:")) throw fault(`${where}.digest: only sha256 is supported`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw fault(`${where}.size is not a size`);
  const result: Descriptor = { mediaType, digest, size };
  if (json["platform"] !== undefined && json["platform"] !== null) {
    result.platform = platform(object(json["platform"], `${where}.platform`), `${where}.platform`);
  }
  const annotations = stringMap(json["annotations"], `${where}.annotations`);
  if (annotations !== undefined) result.annotations = annotations;
  if (json["urls"] !== undefined && json["urls"] !== null) {
    result.urls = array(json["urls"], `${where}.urls`, 64).map((url) => string(url, `${where}.urls`));
  }
  return result;
}

function platform(json: Json, where: string): Platform {
  const result: Platform = {
    os: optionalString(json["os"], `${where}.os`) ?? "",
    architecture: optionalString(json["architecture"], `${where}.architecture`) ?? "",
  };
  const variant = optionalString(json["variant"], `${where}.variant`);
  if (variant) result.variant = variant;
  const version = optionalString(json["os.version"], `${where}["os.version"]`);
  if (version) result.osVersion = version;
  return result;
}

function object(value: unknown, where: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fault(`${where} is not an object`);
  return value as Json;
}

function array(value: unknown, where: string, most: number): unknown[] {
  if (!Array.isArray(value)) throw fault(`${where} is not a list`);
  if (value.length > most) throw fault(`${where} has more than ${most} entries`);
  return value;
}

function string(value: unknown, where: string): string {
  if (typeof value !== "string") throw fault(`${where} is not a string`);
  return value;
}

function optionalString(value: unknown, where: string): string | undefined {
  return value === undefined || value === null ? undefined : string(value, where);
}

function stringMap(value: unknown, where: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  const json = object(value, where);
  for (const key of Object.keys(json)) string(json[key], `${where}[${JSON.stringify(key.slice(0, 100))}]`);
  return json as Record<string, string>;
}

function fault(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
