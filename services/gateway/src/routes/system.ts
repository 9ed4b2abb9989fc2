import { arch as nodeArch, release } from "node:os";
import type { Bus, Instance } from "@berth/bus";
import { roles } from "@berth/bus";
import { BerthError } from "@berth/errors";
import type { Containers } from "../domain/containers.ts";
import type { Images } from "../domain/images.ts";
import { commonHeaders, sendJson } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import type { Api } from "../http/server.ts";
import { berthVersion, dockerVersion, maxVersionText, minVersionText } from "../http/version.ts";
import type { NodeInfoResponse } from "../rpc/types.ts";
import { imageSummary } from "../shapes/image.ts";
import { infoJson, mergeNodes } from "../shapes/info.ts";
import { summaryJson } from "../shapes/list.ts";

export interface SystemParts {
  bus: Pick<Bus, "instances" | "connected">;
  containers: Containers;
  images: Images;
  startedAt: Date;
}

/** Engine API, "System". */
export function systemRoutes(api: Api, parts: SystemParts): void {
  api.on("GET", "/_ping", (call) => ping(call, "OK"));
  api.on("HEAD", "/_ping", (call) => ping(call, ""));
  api.on("GET", "/version", async ({ res, signal }) => sendJson(res, 200, await versionJson(parts, signal)));
  api.on("GET", "/info", (call) => info(call, parts));
  api.on("GET", "/system/df", (call) => diskUsage(call, parts));
  api.on("POST", "/auth", () => {
    throw new BerthError(
      "NOT_IMPLEMENTED",
      "checking registry credentials (docker login) is not supported by this engine yet",
    );
  });
}

function ping({ res }: Call, body: string): void {
  res.writeHead(200, {
    ...commonHeaders,
    "Builder-Version": "2",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    Pragma: "no-cache",
    Swarm: "inactive",
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": body.length,
  });
  res.end(body);
}

/** Go's names for processors, which clients compare with image platforms. */
export function goArch(): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386" };
  return names[nodeArch()] ?? nodeArch();
}

async function versionJson({ bus, containers, startedAt }: SystemParts, signal: AbortSignal): Promise<unknown> {
  const nodes = containers.nodes.all();
  const [node] = await Promise.all(
    nodes.slice(0, 1).map(({ supervisor }) => supervisor.nodeInfo({}, { signal }).catch(() => undefined)),
  );
  const kernel = node?.kernelVersion ?? release();
  const engine = {
    Version: dockerVersion,
    ApiVersion: maxVersionText,
    MinAPIVersion: minVersionText,
    GitCommit: "",
    GoVersion: `node ${process.versions.node}`,
    Os: "linux",
    Arch: goArch(),
    KernelVersion: kernel,
    BuildTime: startedAt.toISOString().replace("Z", "000000+00:00"),
  };
  const { Version, ...details } = engine;
  const components = roles.flatMap((role) => bus.instances(role)).map(componentJson);
  return {
    Platform: { Name: `Berth ${berthVersion}` },
    Components: [
      { Name: "Engine", Version, Details: { ...details, Experimental: "false" } },
      ...components,
      ...(node === undefined
        ? []
        : [{ Name: "berth-runtime", Version: node.runtimeVersion, Details: { GitCommit: "" } }]),
    ],
    ...engine,
  };
}

function componentJson(instance: Instance): unknown {
  return {
    Name: `berth-${instance.role}`,
    Version: instance.version,
    Details: { GitCommit: "", Node: instance.nodeName, Instance: instance.instanceId, StartedAt: instance.startedAt },
  };
}

async function info({ res, signal, minor }: Call, { bus, containers, images }: SystemParts): Promise<void> {
  const nodes = containers.nodes.all();
  const answers = await Promise.allSettled(
    nodes.map(({ supervisor }) => supervisor.nodeInfo({}, { signal, timeoutMs: 5_000 })),
  );
  const infos = answers.flatMap((answer): NodeInfoResponse[] => (answer.status === "fulfilled" ? [answer.value] : []));
  const imageCount = await countImages(images, signal);
  const warnings: string[] = [];
  if (!bus.connected) warnings.push("WARNING: NATS is out of reach: names can't be claimed and events wait");
  if (nodes.length === 0) warnings.push("WARNING: no supervisor is running: containers are out of reach");
  if (imageCount === undefined) warnings.push("WARNING: the image store is out of reach");
  sendJson(
    res,
    200,
    infoJson(mergeNodes(infos), { images: imageCount ?? 0, warnings, minor, arch: goArch(), nodes: nodes.length }),
  );
}

async function countImages(images: Images, signal: AbortSignal): Promise<number | undefined> {
  try {
    return (await images.store.listImages({ brief: true }, { signal, timeoutMs: 5_000 })).images.length;
  } catch {
    return undefined;
  }
}

async function diskUsage({ res, query, minor, signal }: Call, { containers, images }: SystemParts): Promise<void> {
  const types = query.all("type");
  const wants = (type: string) => types.length === 0 || types.includes(type);
  const [found, stored] = await Promise.all([
    containers.list({ all: true, size: true }, signal).catch(() => []),
    images.store.listImages({ all: true }, { signal }),
  ]);
  const layers = new Map<string, number>();
  for (const image of stored.images) {
    const sizes = await images.layerSizes(image.layers);
    for (const [index, { chainId, blob }] of image.layers.entries()) {
      layers.set(chainId, sizes?.[index] ?? blob?.size ?? 0);
    }
  }
  const uses = new Map<string, number>();
  for (const { spec } of found) uses.set(spec?.imageId ?? "", (uses.get(spec?.imageId ?? "") ?? 0) + 1);
  const summaries = await Promise.all(
    stored.images.map(async (image) =>
      imageSummary(image, {
        size: await images.size(image),
        containers: uses.get(image.id) ?? 0,
        sharedSize: 0,
        minor,
      }),
    ),
  );
  const now = Date.now();
  sendJson(res, 200, {
    ...(wants("image") ? { LayersSize: [...layers.values()].reduce((sum, size) => sum + size, 0) } : {}),
    Images: wants("image") ? summaries : null,
    Containers: wants("container")
      ? found.map((container) => summaryJson(container, container.spec?.config?.image ?? "", minor, now))
      : null,
    Volumes: wants("volume") ? [] : null,
    BuildCache: wants("build-cache") ? [] : null,
    ...(minor < 42 ? { BuilderSize: 0 } : {}),
  });
}
