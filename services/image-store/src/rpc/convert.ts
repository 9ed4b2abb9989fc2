import type { DeepPartial, FilterValues, Image, ImageUse as ImageUseMessage } from "@berth/api/images";
import type { Platform as PlatformMessage } from "@berth/api/types";
import type { Platform } from "@berth/oci";
import type { ImageView } from "../domain/images.ts";
import type { Filters } from "../domain/list.ts";
import type { ImageUse } from "../domain/remove.ts";

export function encodeImage({ image, repoTags, repoDigests, config }: ImageView): DeepPartial<Image> {
  return {
    id: image.id,
    manifestDigest: image.manifests[0] ?? "",
    repoTags,
    repoDigests,
    layers: image.layers.map(({ blob, diffId, chainId }) => ({ blob: { ...blob }, diffId, chainId })),
    config,
    platform: { ...image.platform },
    created: exactTime(image.created),
    lastTagged: timestamp(image.lastTagged),
    storedSize: image.storedSize,
    parent: image.parent,
    comment: image.comment,
    labels: image.labels,
  };
}

/** @param ms since epoch; none for an unknown time */
function timestamp(ms: number): { seconds: number; nanos: number } | undefined {
  if (Number.isNaN(ms) || ms === 0) return undefined;
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * 1_000_000 };
}

/** Of RFC 3339 text, with all of its nine digits: images made within one millisecond are in an order too. */
function exactTime(text: string): { seconds: number; nanos: number } | undefined {
  const time = timestamp(Date.parse(text));
  const fraction = /\.([0-9]{1,9})/.exec(text)?.[1];
  return time === undefined || fraction === undefined ? time : { ...time, nanos: Number(fraction.padEnd(9, "0")) };
}

/** A message without a system means no wish. */
export function decodePlatform(message: PlatformMessage | undefined): Platform | undefined {
  if (message === undefined || (message.os === "" && message.architecture === "")) return undefined;
  const platform: Platform = { os: message.os, architecture: message.architecture };
  if (message.variant !== "") platform.variant = message.variant;
  if (message.osVersion !== "") platform.osVersion = message.osVersion;
  return platform;
}

export function decodeFilters(filters: Record<string, FilterValues>): Filters {
  return new Map(Object.entries(filters).map(([name, { values }]) => [name, values]));
}

export function decodeUses(uses: readonly ImageUseMessage[]): ImageUse[] {
  return uses.map(({ imageId, containerId, running }) => ({ imageId, containerId, running }));
}
