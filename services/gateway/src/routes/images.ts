import { BerthError, isBerthError } from "@berth/errors";
import { familiarName, matchReference, parseAnyReference, parsePlatform, parseReference } from "@berth/oci";
import type { Containers } from "../domain/containers.ts";
import { imageUses } from "../domain/image-uses.ts";
import type { Images } from "../domain/images.ts";
import { passesLabels, untilFilter } from "../domain/prune-filter.ts";
import { sendEmpty, sendJson } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import { parseMoment } from "../http/moment.ts";
import { type Filters, filterFlag, type Query } from "../http/query.ts";
import type { Api } from "../http/server.ts";
import type { Image } from "../rpc/types.ts";
import { imageHistory, imageInspect, imageSummary } from "../shapes/image.ts";
import { toMillis } from "../shapes/time.ts";
import { toFilterValues } from "./containers.ts";

/** Engine API, "Images": look-ups, tags and removal. */
export function imageRoutes(api: Api, images: Images, containers: Containers): void {
  api.on("GET", "/images/json", (call) => list(call, images, containers));
  api.on("GET", "/images/{name...}/json", async ({ name, query, res, minor }) => {
    checkReference(name);
    const platform = minor >= 49 ? platformOf(query.text("platform")) : undefined;
    if (minor >= 48 && query.flag("manifests") && platform !== undefined) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        "conflicting options: manifests and platform options cannot both be set",
      );
    }
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
  const filters = imageFilters(query, minor);
  const { images: found } = await images.store.listImages(
    { filters: toFilterValues(filters), all: query.flag("all"), brief: true },
    { signal },
  );
  const wantsShared = minor >= 42 && query.flag("shared-size");
  const [uses, shared] = await Promise.all([
    minor >= 51 ? countUses(containers, signal) : undefined,
    wantsShared ? sharedSizes(found, images) : undefined,
  ]);
  const summaries = await Promise.all(
    found.map(async (image) =>
      imageSummary(withMatchingNames(image, filters.get("reference")), {
        size: await images.size(image),
        containers: uses?.get(image.id) ?? (uses === undefined ? -1 : 0),
        sharedSize: shared?.get(image.id) ?? -1,
        minor,
      }),
    ),
  );
  sendJson(res, 200, summaries);
}

/** The filters of a list, with names and moments looked at once, here. */
function imageFilters(query: Query, minor: number): Filters {
  const filters = new Map(query.filters(listFilters));
  // Until 1.40 a pattern for the repository's name was a parameter of its own.
  const pattern = minor < 41 ? query.text("filter") : "";
  if (pattern !== "") filters.set("reference", [...(filters.get("reference") ?? []), pattern]);
  const dangling = filterFlag(filters, "dangling");
  if (dangling !== undefined) filters.set("dangling", [String(dangling)]);
  const until = filters.get("until");
  if (until !== undefined) {
    // The earliest is what all of them ask for.
    const earliest = Math.min(...until.map((text) => parseMoment(text)));
    filters.set("until", [String(Math.max(0, earliest))]);
  }
  return filters;
}

/** Asked for by name, an image is shown with the names that match alone. */
function withMatchingNames(image: Image, patterns: readonly string[] | undefined): Image {
  if (patterns === undefined || patterns.length === 0) return image;
  const matches = (name: string) => patterns.some((pattern) => matchReference(pattern, parseReference(name)));
  return { ...image, repoTags: image.repoTags.filter(matches), repoDigests: image.repoDigests.filter(matches) };
}

/** Containers of each image; undefined when no supervisor can say. */
async function countUses(containers: Containers, signal: AbortSignal): Promise<Map<string, number> | undefined> {
  if (containers.nodes.all().length === 0) return undefined;
  try {
    const uses = new Map<string, number>();
    for (const { imageId } of await containers.list({ all: true }, signal)) {
      uses.set(imageId, (uses.get(imageId) ?? 0) + 1);
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
  // "sha256:abc" could mean an image's id as well.
  if (familiarName(reference) === "sha256")
    throw new BerthError("INVALID_ARGUMENT", "refusing to create an ambiguous tag using digest algorithm as name");
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

/** Removes images that no container uses: those without a tag, or with dangling=false all of them. */
async function prune({ query, res, signal }: Call, images: Images, containers: Containers): Promise<void> {
  const filters = query.filters(["dangling", "label", "label!", "until"]);
  const onlyDangling = filterFlag(filters, "dangling") ?? true;
  const until = untilFilter(filters);
  const [inUse, { images: found }] = await Promise.all([
    imageUses(containers, signal),
    images.store.listImages({ brief: true, all: true }, { signal }),
  ]);
  const parents = new Set(found.map(({ parent }) => parent));
  const gone: Record<string, string>[] = [];
  let reclaimed = 0;
  for (const image of found) {
    const names = [...image.repoTags, ...image.repoDigests];
    if (names.length === 0 && parents.has(image.id)) continue;
    if (onlyDangling && image.repoTags.length > 0) continue;
    if (toMillis(image.created) > until || !passesLabels(image.labels, filters)) continue;
    const sizes = await layerSizes(image, images);
    for (const reference of names.length > 0 ? names : [image.id]) {
      try {
        const { untagged, deleted } = await images.store.removeImage({ reference, inUse });
        gone.push(...removals(untagged, deleted));
        for (const id of deleted) reclaimed += sizes.get(id) ?? 0;
      } catch (error) {
        // In use, or removed meanwhile (its digests go with its last tag).
        if (!isBerthError(error) || (error.reason !== "IN_USE" && error.reason !== "NO_SUCH_IMAGE")) throw error;
      }
    }
  }
  images.invalidate();
  await images.store.notePrune({ reclaimed });
  sendJson(res, 200, { ImagesDeleted: gone.length === 0 ? null : gone, SpaceReclaimed: reclaimed });
}

/** bytes of an image's layers by chain id, which is how removed layers are told. */
async function layerSizes(image: Image, images: Images): Promise<Map<string, number>> {
  const sizes = await images.layerSizes(image.layers);
  return new Map(image.layers.map(({ chainId, blob }, index) => [chainId, sizes?.[index] ?? blob?.size ?? 0]));
}
