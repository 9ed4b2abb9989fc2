import { arch as nodeArch, release } from "node:os";
import type { Bus, Instance } from "@berth/bus";
import { roles } from "@berth/bus";
import type { Containers } from "../domain/containers.ts";
import type { EventFeed } from "../domain/events.ts";
import type { Images } from "../domain/images.ts";
import { commonHeaders, sendJson } from "../http/answer.ts";
import type { Call } from "../http/call.ts";
import type { Api } from "../http/server.ts";
import { berthVersion, dockerVersion, maxVersionText, minVersionText } from "../http/version.ts";
import type { NodeInfoResponse } from "../rpc/types.ts";
import { infoJson, mergeNodes, nodeLines } from "../shapes/info.ts";

export interface SystemParts {
  feed: EventFeed;
  bus: Pick<Bus, "instances" | "connected">;
  containers: Containers;
  images: Images;
  builtAt: Date;
}

/** Engine API, "System". */
export function systemRoutes(api: Api, parts: SystemParts): void {
  api.on("GET", "/_ping", (call) => ping(call, "OK"));
  api.on("HEAD", "/_ping", (call) => ping(call, ""));
  api.on("GET", "/version", async ({ res, signal }) => sendJson(res, 200, await versionJson(parts, signal)));
  api.on("GET", "/info", (call) => info(call, parts));
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
function goArch(): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386" };
  return names[nodeArch()] ?? nodeArch();
}

async function versionJson({ bus, containers, builtAt }: SystemParts, signal: AbortSignal): Promise<unknown> {
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
    BuildTime: builtAt.toISOString().replace("Z", "000000+00:00"),
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

async function info({ res, signal, minor }: Call, { bus, containers, images, feed }: SystemParts): Promise<void> {
  const nodes = containers.nodes.all();
  const { isCluster, records } = containers.nodes;
  const answers = await Promise.allSettled(
    nodes.map(({ supervisor }) => supervisor.nodeInfo({}, { signal, timeoutMs: 5_000 })),
  );
  const infos = answers.flatMap((answer): NodeInfoResponse[] => (answer.status === "fulfilled" ? [answer.value] : []));
  const imageCount = await countImages(images, signal);
  const warnings: string[] = [];
  if (!bus.connected) warnings.push("WARNING: NATS is out of reach: names can't be claimed and events wait");
  if (nodes.length === 0) warnings.push("WARNING: no supervisor is running: containers are out of reach");
  if (imageCount === undefined) warnings.push("WARNING: the image store is out of reach");
  const away = containers.nodes.away().map(({ record }) => record);
  for (const { name, awaySince = "" } of away) warnings.push(`WARNING: node ${name} is unreachable since ${awaySince}`);
  sendJson(
    res,
    200,
    infoJson(mergeNodes(infos), {
      images: imageCount ?? 0,
      warnings,
      minor,
      arch: goArch(),
      nodes: isCluster ? records.length : nodes.length,
      nodeLines: isCluster ? nodeLines(infos, away) : [],
      listeners: feed.followers,
    }),
  );
}

async function countImages(images: Images, signal: AbortSignal): Promise<number | undefined> {
  try {
    return (await images.store.listImages({ brief: true }, { signal, timeoutMs: 5_000 })).images.length;
  } catch {
    return undefined;
  }
}
