import { BerthError } from "@berth/errors";
import {
  chainIds,
  type Descriptor,
  familiarString,
  formatPlatform,
  hostPlatform,
  type ImageManifest,
  isIndexType,
  isManifestType,
  type Platform,
  parseConfig,
  parseIndex,
  parseManifest,
  type Reference,
  selectPlatform,
  withDefaultTag,
} from "@berth/oci";
import { download } from "./download.ts";
import type { FetchedManifest, RegistryClient } from "./registry/client.ts";
import type { ImageSink, LayerInfo, LayerState, PullMessage } from "./sink.ts";
import type { Slots } from "./slots.ts";

export interface PullParts {
  client: RegistryClient;
  sink: ImageSink;
  /** Layers on their way at a time, in the whole process. */
  slots: Slots;
  /** For tests, see download(). */
  pauses?: readonly number[];
}

export interface PullOptions {
  reference: Reference;
  /** undefined: this host's own */
  platform: Platform | undefined;
  tell: (message: PullMessage) => void;
  signal: AbortSignal;
}

interface Chosen {
  manifest: FetchedManifest;
  parsed: ImageManifest;
  /** The index that the manifest was chosen from. */
  index: FetchedManifest | undefined;
}

/**
 * Brings an image into the store and names it there. Ends well only when every byte is there, checked, and the name is
 * set; on failure the store keeps the parts that came for the next pull, and no name has changed.
 * @throws RegistryError, NOT_FOUND (no manifest for the platform), DATA_LOSS, UNAVAILABLE
 */
export async function pull(parts: PullParts, options: PullOptions): Promise<void> {
  const reference = withDefaultTag(options.reference);
  const top = await parts.client.manifest(reference.digest ?? reference.tag ?? "", options.signal);
  const { mediaType, digest, content } = top;
  options.tell({
    kind: "resolved",
    name: reference.path,
    tag: reference.digest === undefined ? (reference.tag ?? "") : familiarString(reference),
    descriptor: { mediaType, digest, size: content.length },
  });
  const chosen = await chooseManifest(parts.client, top, options);
  const lease = await parts.sink.beginLease(options.signal);
  try {
    await fetchContent(parts, options, chosen, lease);
    await store(parts.sink, chosen, lease, options.signal);
    const name = familiarString(reference);
    const tagged = await parts.sink.tag(
      { manifest: chosen.manifest.digest, name, pulledDigest: digest },
      options.signal,
    );
    options.tell({ kind: "done", imageId: tagged.imageId, digest, changed: tagged.changed });
  } finally {
    await parts.sink.endLease(lease).catch(() => {});
  }
}

async function chooseManifest(client: RegistryClient, top: FetchedManifest, options: PullOptions): Promise<Chosen> {
  if (!isIndexType(top.mediaType)) return { manifest: top, parsed: readManifest(top), index: undefined };
  const { manifests } = parseIndex(top.content, top.mediaType);
  const entry = selectPlatform(manifests, options.platform ?? hostPlatform(), options.platform === undefined);
  if (entry === undefined) {
    const wanted = formatPlatform(options.platform ?? hostPlatform());
    throw new BerthError("NOT_FOUND", `no matching manifest for ${wanted} in the manifest list entries`);
  }
  const manifest = await client.manifest(entry.digest, options.signal);
  if (isIndexType(manifest.mediaType))
    throw new BerthError("INVALID_ARGUMENT", "an index names another index for the platform");
  return { manifest, parsed: readManifest(manifest), index: top };
}

function readManifest({ mediaType, content }: FetchedManifest): ImageManifest {
  if (!isManifestType(mediaType)) {
    throw new BerthError("INVALID_ARGUMENT", `unsupported media type ${mediaType.slice(0, 200) || "(none)"}`);
  }
  return parseManifest(content, mediaType);
}

/** Config and layers together: the first failure stops the others. */
async function fetchContent(parts: PullParts, options: PullOptions, chosen: Chosen, lease: string): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const within = { ...options, signal };
  const layers = [...new Map(chosen.parsed.layers.map((layer) => [layer.digest, layer])).values()];
  const tasks = [
    fetchConfig(parts, within, chosen, lease),
    ...layers.map((layer) => fetchLayer(parts, within, layer, lease)),
  ];
  let first: { error: unknown } | undefined;
  for (const task of tasks) {
    task.catch((error: unknown) => {
      first ??= { error };
      failed.abort();
    });
  }
  await Promise.allSettled(tasks);
  if (first !== undefined) throw first.error;
}

async function fetchConfig(
  parts: PullParts,
  options: PullOptions,
  { manifest, parsed }: Chosen,
  lease: string,
): Promise<void> {
  const { client, sink } = parts;
  const { digest, size } = parsed.config;
  const { signal } = options;
  // The upload comes first: it puts what is there under the lease, so that no garbage run takes it before it is read.
  const writer = await sink.writeBlob({ digest, size, lease }, signal);
  try {
    const isThere = writer.offset === size;
    if (isThere) await writer.commit();
    const content = isThere ? await sink.readDocument(digest, signal) : await client.document(digest, size, signal);
    const layers = layerInfos(parsed.layers, content);
    options.tell({ kind: "plan", imageId: digest, manifestDigest: manifest.digest, layers });
    if (isThere) return;
    await writer.write(content.subarray(writer.offset));
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** @throws INVALID_ARGUMENT when manifest and config don't tell of the same layers */
function layerInfos(blobs: readonly Descriptor[], config: Buffer): LayerInfo[] {
  const { diffIds } = parseConfig(config);
  if (diffIds.length !== blobs.length) {
    throw new BerthError("INVALID_ARGUMENT", `the manifest has ${blobs.length} layers, its config ${diffIds.length}`);
  }
  const chain = chainIds(diffIds);
  return blobs.map(({ mediaType, digest, size }, i) => ({
    blob: { mediaType, digest, size },
    diffId: diffIds[i] ?? "",
    chainId: chain[i] ?? "",
  }));
}

async function fetchLayer(parts: PullParts, options: PullOptions, layer: Descriptor, lease: string): Promise<void> {
  const { client, sink, slots, pauses } = parts;
  const { signal } = options;
  const { digest, size } = layer;
  const tell = (state: LayerState, current: number, retryIn = 0): void =>
    options.tell({ kind: "layer", digest, state, current, total: size, retryIn });
  if ((await sink.blobSize(digest, signal)) === size) {
    // Said again through an upload: that puts it under the lease.
    const writer = await sink.writeBlob({ digest, size, lease }, signal);
    if (writer.offset === size) {
      await writer.commit();
      return tell("exists", size);
    }
    await writer.abort();
  }
  tell("waiting", 0);
  const task = { client, sink, lease, layer, tell, signal, ...(pauses && { pauses }) };
  await slots.run(signal, () => download(task));
  tell("downloaded", size);
}

async function store(sink: ImageSink, { manifest, index }: Chosen, lease: string, signal: AbortSignal): Promise<void> {
  await sink.putManifest({ ...manifest, lease }, signal);
  if (index !== undefined) await sink.putManifest({ ...index, lease }, signal);
}
