import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import type { Images } from "../domain/images.ts";
import type { Volumes } from "../domain/volumes.ts";
import { sendJson } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import type { Api } from "../http/server.ts";
import type { ContainerSummary } from "../rpc/types.ts";
import { orNull } from "../shapes/config.ts";
import { imageSummary } from "../shapes/image.ts";
import { summaryJson } from "../shapes/list.ts";
import { volumeJson } from "../shapes/volume.ts";

export interface DiskUsageParts {
  containers: Containers;
  images: Images;
  volumes: Volumes;
}

const objects = ["container", "image", "volume", "build-cache"];

/** Engine API, "Get data usage information". Every layer counts once, however many images stand on it. */
export function diskUsageRoutes(api: Api, parts: DiskUsageParts): void {
  api.on("GET", "/system/df", (call) => diskUsage(call, parts));
}

async function diskUsage({ res, query, minor, signal }: Call, parts: DiskUsageParts): Promise<void> {
  const types = minor < 42 ? [] : query.all("type");
  const unknown = types.find((type) => !objects.includes(type));
  if (unknown !== undefined) throw new BerthError("INVALID_ARGUMENT", `unknown object type: ${unknown}`);
  const wants = (type: string) => types.length === 0 || types.includes(type);
  const { containers } = parts;
  const needsContainers = wants("container") || wants("image");
  const [found, volumes] = await Promise.all([
    needsContainers ? containers.list({ all: true, size: wants("container") }, signal) : [],
    wants("volume") ? parts.volumes.usage(signal) : null,
  ]);
  const images = wants("image") ? await imageUsage(parts.images, found, minor, signal) : { layers: 0, summaries: null };
  const now = Date.now();
  const summarize = async (container: ContainerSummary) =>
    summaryJson(container, await containers.imageName(container), minor, now);
  sendJson(res, 200, {
    LayersSize: images.layers,
    Images: images.summaries,
    Containers: wants("container") ? await Promise.all(found.map(summarize)) : null,
    Volumes: volumes?.map(volumeJson) ?? null,
    // Nothing is built here yet, so nothing is kept of builds.
    BuildCache: wants("build-cache") ? [] : null,
  });
}

interface ImageUsage {
  /** bytes of all layers, each once */
  layers: number;
  summaries: unknown[];
}

async function imageUsage(
  images: Images,
  containers: readonly ContainerSummary[],
  minor: number,
  signal: AbortSignal,
): Promise<ImageUsage> {
  const { images: stored } = await images.store.listImages({ all: true, brief: true }, { signal });
  const sizes = new Map<string, number>();
  const owners = new Map<string, number>();
  for (const { layers } of stored) {
    const known = await images.layerSizes(layers);
    for (const [index, { chainId, blob }] of layers.entries()) {
      sizes.set(chainId, known?.[index] ?? blob?.size ?? 0);
      owners.set(chainId, (owners.get(chainId) ?? 0) + 1);
    }
  }
  const uses = new Map<string, number>();
  for (const { imageId } of containers) uses.set(imageId, (uses.get(imageId) ?? 0) + 1);
  const summaries = await Promise.all(
    stored.map(async (image) => {
      const shared = image.layers.filter(({ chainId }) => (owners.get(chainId) ?? 0) > 1);
      const summary = imageSummary(image, {
        size: await images.size(image),
        containers: uses.get(image.id) ?? 0,
        sharedSize: shared.reduce((sum, { chainId }) => sum + (sizes.get(chainId) ?? 0), 0),
        minor,
      });
      // Docker leaves these two null here, and empty in a list of images.
      return { ...summary, RepoDigests: orNull(image.repoDigests), RepoTags: orNull(image.repoTags) };
    }),
  );
  return { layers: [...sizes.values()].reduce((sum, size) => sum + size, 0), summaries };
}
