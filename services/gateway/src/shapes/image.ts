import type { Image } from "../rpc/types.ts";
import { orNull } from "./config.ts";
import { rfc3339, zeroTime } from "./time.ts";

export interface SummaryExtras {
  /** bytes, unpacked where known */
  size: number;
  /** Containers that use it; -1: not counted. */
  containers: number;
  /** bytes shared with other images; -1: not counted. */
  sharedSize: number;
  minor: number;
}

/** One entry of GET /images/json. */
export function imageSummary(
  image: Image,
  { size, containers, sharedSize, minor }: SummaryExtras,
): Record<string, unknown> {
  const isDangling = image.repoTags.length === 0 && image.repoDigests.length === 0;
  // Older clients expect a name where there is none.
  const named = minor >= 43 || !isDangling;
  return {
    // Counted since 1.51; before it, only where the caller did.
    Containers: containers,
    Created: image.created?.seconds ?? 0,
    Id: image.id,
    Labels: Object.keys(image.labels).length === 0 ? null : image.labels,
    ParentId: image.parent,
    RepoDigests: named ? (minor < 43 ? orNull(image.repoDigests) : image.repoDigests) : ["<none>@<none>"],
    RepoTags: named ? image.repoTags : ["<none>:<none>"],
    SharedSize: sharedSize,
    Size: size,
    ...(minor < 44 && size > 0 ? { VirtualSize: size } : {}),
  };
}

interface RawConfig {
  author?: string;
  architecture?: string;
  variant?: string;
  os?: string;
  "os.version"?: string;
  docker_version?: string;
  comment?: string;
  config?: Record<string, unknown> | null;
  container?: string;
  container_config?: Record<string, unknown>;
  rootfs?: { type?: string; diff_ids?: string[] };
  history?: { created?: string; created_by?: string; comment?: string; empty_layer?: boolean }[];
}

const decoder = new TextDecoder();

function rawConfig(image: Image): RawConfig {
  return JSON.parse(decoder.decode(image.config)) as RawConfig;
}

/** GET /images/{name}/json */
export function imageInspect(image: Image, size: number, minor: number): Record<string, unknown> {
  const raw = rawConfig(image);
  const history = raw.history ?? [];
  const comment = image.comment || raw.comment || history.at(-1)?.comment || "";
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent,
    Comment: comment,
    Created: image.created === undefined ? "" : rfc3339(image.created),
    ...(minor < 45 ? madeBy(raw) : {}),
    DockerVersion: raw.docker_version ?? "",
    Author: raw.author ?? "",
    Architecture: raw.architecture ?? "",
    ...(raw.variant ? { Variant: raw.variant } : {}),
    Os: raw.os ?? "",
    ...(raw["os.version"] ? { OsVersion: raw["os.version"] } : {}),
    Size: size,
    ...(minor < 44 && size > 0 ? { VirtualSize: size } : {}),
    GraphDriver: { Data: null, Name: "overlay2" },
    RootFS: { Type: "layers", Layers: raw.rootfs?.diff_ids ?? [] },
    Metadata: { LastTagTime: image.lastTagged === undefined ? zeroTime : rfc3339(image.lastTagged) },
    ...(minor >= 48 && image.manifestDigest !== "" ? { Descriptor: undefined } : {}),
    Config: imageConfig(raw.config ?? {}, minor),
  };
}

/** The container that an image was committed from, as old clients know it. */
function madeBy({ container, container_config: config }: RawConfig): Record<string, unknown> {
  return {
    ...(container ? { Container: container } : {}),
    ContainerConfig: { ...containerFields, ...imageFields, ...config },
  };
}

/** Fields of a container's config that an image has no use for: they were shown empty until 1.50. */
const containerFields = {
  AttachStderr: false,
  AttachStdin: false,
  AttachStdout: false,
  Domainname: "",
  Hostname: "",
  Image: "",
  OpenStdin: false,
  StdinOnce: false,
  Tty: false,
};

/** Fields that clients always read. */
const imageFields = {
  Cmd: null,
  Entrypoint: null,
  Env: null,
  Labels: null,
  OnBuild: null,
  User: "",
  Volumes: null,
  WorkingDir: "",
};

function imageConfig(config: Record<string, unknown>, minor: number): Record<string, unknown> {
  return { ...(minor < 50 ? containerFields : {}), ...imageFields, ...config };
}

/** GET /images/{name}/history: newest first; only steps that made a layer have a size. */
export function imageHistory(image: Image, layerSizes: readonly number[]): Record<string, unknown>[] {
  const raw = rawConfig(image);
  const entries: Record<string, unknown>[] = [];
  let layer = 0;
  for (const step of raw.history ?? []) {
    const size = step.empty_layer === true ? 0 : (layerSizes[layer++] ?? 0);
    entries.push({
      Comment: step.comment ?? "",
      Created: step.created === undefined ? 0 : Math.floor(Date.parse(step.created) / 1000),
      CreatedBy: step.created_by ?? "",
      Id: "<missing>",
      Size: size,
      Tags: null,
    });
  }
  const newest = entries.at(-1);
  if (newest !== undefined) {
    newest["Id"] = image.id;
    newest["Tags"] = orNull(image.repoTags);
  }
  return entries.reverse();
}
