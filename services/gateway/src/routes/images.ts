import { BerthError } from "@berth/errors";
import { familiarName, parseAnyReference, parsePlatform, parseReference } from "@berth/oci";
import { type Containers, familiar } from "../domain/containers.ts";
import type { Images } from "../domain/images.ts";
import { sendEmpty, sendJson } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import { parseMoment } from "../http/moment.ts";
import { filterFlag } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import type { Image, ImageUse } from "../rpc/types.ts";
import { ContainerStatus } from "../rpc/types.ts";
import { imageHistory, imageInspect, imageSummary } from "../shapes/image.ts";
import { toFilterValues } from "./containers.ts";

/** Engine API, "Images": look-ups, tags and removal. */
export function imageRoutes(api: Api, images: Images, containers: Containers): void {
  api.on("GET", "/images/json", (call) => list(call, images, containers));
  api.on("GET", "/images/{name...}/json", async ({ name, query, res, minor }) => {
    checkReference(name);
    const platform = minor >= 49 ? platformOf(query.text("platform")) : undefined;
    const image = await images.get(name, platform);
    sendJson(res, 200, imageInspect(image, await images.size(image), minor));
  });
  api.on("GET", "/images/{name...}/history", async ({ name, res }) => {
    checkReference(name);
    const image = await images.get(name);
    const sizes = (await images.layerSizes(image.layers)) ?? image.layers.map(({ blob }) => blob?.size ?? 0);
    sendJson(res, 200, imageHistory(image, sizes));
  });
  api.on("POST", "/images/{name...}/tag", (call) => tag(call, images));
  api.on("DELETE", "/images/{name...}", (call) => remove(call, images, containers));
  api.on("POST", "/images/prune", (call) => prune(call, images, containers));
}

/** The platform parameter: "linux/arm64", or JSON as newer clients send it. @throws INVALID_ARGUMENT */
export function platformOf(
  text: string,
): { os: string; architecture: string; variant: string; osVersion: string } | undefined {
  if (text === "") return undefined;
  let parsed: { os: string; architecture: string; variant?: string; osVersion?: string };
  if (text.startsWith("{")) {
    try {
      parsed = JSON.parse(text) as typeof parsed;
    } catch {
      throw new BerthError("INVALID_ARGUMENT", "invalid platform");
    }
    if (typeof parsed.os !== "string" || typeof parsed.architecture !== "string") {
      throw new BerthError("INVALID_ARGUMENT", "both OS and Architecture must be provided");
    }
  } else {
    parsed = parsePlatform(text);
  }
  return {
    os: parsed.os,
    architecture: parsed.architecture,
    variant: parsed.variant ?? "",
    osVersion: parsed.osVersion ?? "",
  };
}

/** Ids and their prefixes are not references, and always pass. @throws INVALID_ARGUMENT in Docker's words */
function checkReference(name: string): void {
  if (/^(sha256:)?[0-9a-f]{1,64}$/.test(name)) return;
  parseAnyReference(name);
}

const listFilters = ["dangling", "label", "before", "since", "reference", "until"];

async function list({ query, res, minor, signal }: Call, images: Images, containers: Containers): Promise<void> {
  const filters = query.filters(listFilters);
  filterFlag(filters, "dangling");
  const { images: found } = await images.store.listImages(
    { filters: toFilterValues(filters), all: query.flag("all"), brief: true },
    { signal },
  );
  const wantsShared = query.flag("shared-size");
  const [uses, shared] = await Promise.all([
    countUses(containers, signal),
    wantsShared ? sharedSizes(found, images) : undefined,
  ]);
  const summaries = await Promise.all(
    found.map(async (image) =>
      imageSummary(image, {
        size: await images.size(image),
        containers: uses?.get(image.id) ?? (uses === undefined ? -1 : 0),
        sharedSize: shared?.get(image.id) ?? -1,
        minor,
      }),
    ),
  );
  sendJson(res, 200, summaries);
}

/** Containers of each image; undefined when no supervisor can say. */
async function countUses(containers: Containers, signal: AbortSignal): Promise<Map<string, number> | undefined> {
  if (containers.nodes.all().length === 0) return undefined;
  try {
    const uses = new Map<string, number>();
    for (const { spec } of await containers.list({ all: true }, signal)) {
      uses.set(spec?.imageId ?? "", (uses.get(spec?.imageId ?? "") ?? 0) + 1);
    }
    return uses;
  } catch {
    return undefined;
  }
}

/** Bytes of the layers that an image shares with any other one. */
async function sharedSizes(found: readonly Image[], images: Images): Promise<Map<string, number>> {
  const owners = new Map<string, number>();
  for (const { layers } of found) for (const { chainId } of layers) owners.set(chainId, (owners.get(chainId) ?? 0) + 1);
  const result = new Map<string, number>();
  for (const { id, layers } of found) {
    const sizes = await images.layerSizes(layers);
    const shared = layers.map(({ chainId, blob }, index) =>
      (owners.get(chainId) ?? 0) > 1 ? (sizes?.[index] ?? blob?.size ?? 0) : 0,
    );
    result.set(
      id,
      shared.reduce((sum, size) => sum + size, 0),
    );
  }
  return result;
}

async function tag({ name, query, res }: Call, images: Images): Promise<void> {
  const repository = query.text("repo");
  if (repository === "") {
    sendEmpty(res, 200);
    return;
  }
  const target = targetOf(repository, query.text("tag"));
  checkReference(name);
  await images.store.tagImage({ source: name, target });
  images.invalidate();
  sendEmpty(res, 201);
}

/** "repo" and "tag" of a query as one reference. @throws INVALID_ARGUMENT */
export function targetOf(repository: string, tag: string): string {
  const reference = parseReference(repository);
  if (reference.digest !== undefined)
    throw new BerthError("INVALID_ARGUMENT", "refusing to create a tag with a digest reference");
  const chosen = tag === "" ? (reference.tag ?? "latest") : tag;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(chosen))
    throw new BerthError("INVALID_ARGUMENT", "invalid tag format");
  return `${familiarName(reference)}:${chosen}`;
}

async function remove({ name, query, res, signal }: Call, images: Images, containers: Containers): Promise<void> {
  if (name.trim() === "") throw new BerthError("INVALID_ARGUMENT", "image name cannot be blank");
  checkReference(name);
  const { untagged, deleted } = await images.store.removeImage({
    reference: name,
    force: query.flag("force"),
    noPrune: query.flag("noprune"),
    inUse: await imageUses(containers, signal),
  });
  images.invalidate();
  sendJson(res, 200, removals(untagged, deleted));
}

function removals(untagged: readonly string[], deleted: readonly string[]): Record<string, string>[] {
  return [...untagged.map((name) => ({ Untagged: name })), ...deleted.map((id) => ({ Deleted: id }))];
}

/** What containers use. Without a supervisor nobody knows, so nothing may be removed. */
async function imageUses(containers: Containers, signal: AbortSignal): Promise<ImageUse[]> {
  const found = await containers.list({ all: true }, signal);
  return found.map(({ id, spec, state }) => ({
    imageId: spec?.imageId ?? "",
    containerId: id,
    running:
      state?.status === ContainerStatus.RUNNING ||
      state?.status === ContainerStatus.PAUSED ||
      state?.status === ContainerStatus.RESTARTING,
  }));
}

/** Removes images that no container uses: those without a tag, or with dangling=false all of them. */
async function prune({ query, res, signal }: Call, images: Images, containers: Containers): Promise<void> {
  const filters = query.filters(["dangling", "label", "label!", "until"]);
  const onlyDangling = filterFlag(filters, "dangling") ?? true;
  const until = filters.get("until")?.[0];
  const before = until === undefined ? Number.POSITIVE_INFINITY : parseMoment(until);
  const labels = filters.get("label");
  const [inUse, { images: found }] = await Promise.all([
    imageUses(containers, signal),
    images.store.listImages(
      { brief: true, filters: labels === undefined ? {} : { label: { values: [...labels] } } },
      { signal },
    ),
  ]);
  const used = new Set(inUse.map(({ imageId }) => imageId));
  const gone: Record<string, string>[] = [];
  let reclaimed = 0;
  for (const image of found) {
    if (used.has(image.id) || (onlyDangling && image.repoTags.length > 0)) continue;
    if ((image.created?.seconds ?? 0) >= before) continue;
    const size = await images.size(image);
    try {
      const names = image.repoTags.length > 0 ? image.repoTags : [image.id];
      for (const reference of names) {
        const { untagged, deleted } = await images.store.removeImage({ reference, inUse });
        gone.push(...removals(untagged, deleted));
        if (deleted.length > 0) reclaimed += size;
      }
    } catch {
      // In use or removed meanwhile.
    }
  }
  images.invalidate();
  sendJson(res, 200, { ImagesDeleted: gone.length === 0 ? null : gone, SpaceReclaimed: reclaimed });
}

export { familiar };
