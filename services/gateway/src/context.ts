import { statSync } from "node:fs";
import { isBerthError } from "@berth/errors";
import { createServiceContext, type ServiceContext } from "@berth/rpc";
import type { GatewayConfig } from "./config.ts";
import { Containers } from "./domain/containers.ts";
import { EventFeed } from "./domain/events.ts";
import { Images } from "./domain/images.ts";
import { Moves } from "./domain/moves/moves.ts";
import { NodeAdministration } from "./domain/nodes/administration.ts";
import { Nodes } from "./domain/nodes/nodes.ts";
import { Volumes } from "./domain/volumes.ts";
import { Api } from "./http/server.ts";
import { addRoutes } from "./routes/index.ts";
import type { ServicesParts } from "./rpc/services.ts";
import {
  type Authority,
  AuthorityDefinition,
  ImageStoreDefinition,
  MovesDefinition,
  RegistryProxyDefinition,
  SnapshotterDefinition,
  SupervisorDefinition,
  VolumesDefinition,
} from "./rpc/types.ts";

/** How long a pull waits for a snapshotter to be heard of; without one the layers are unpacked by the first create. */
const snapshotterPatienceMs = 1_000;

export interface GatewayContext extends ServiceContext {
  api: Api;
  services: ServicesParts;
}

/** Builds every part once. The gateway keeps nothing on disk: what it remembers it can ask for again. */
export async function createContext(config: GatewayConfig, signal: AbortSignal): Promise<GatewayContext> {
  const base = await createServiceContext(config, signal);
  const { bus, clients, log } = base;
  const { hostId } = config;
  const nodes = new Nodes({
    bus,
    hostId,
    connect: (nodeId) => clients.client(SupervisorDefinition, "supervisor", { nodeId }),
    log,
  });
  await nodes.ready();
  const anySnapshotter = clients.client(SnapshotterDefinition, "snapshotter");
  const snapshotter = () => (bus.instances("snapshotter").length > 0 ? anySnapshotter : undefined);
  // A gateway that has just started has not heard of everybody yet: a pull that unpacks nothing makes the first run slow.
  const snapshotterSoon = async (wanted: AbortSignal) => {
    const patience = AbortSignal.any([wanted, AbortSignal.timeout(snapshotterPatienceMs)]);
    if (snapshotter() === undefined) await bus.waitFor("snapshotter", { signal: patience }).catch(() => undefined);
    return snapshotter();
  };
  const store = clients.client(ImageStoreDefinition, "image-store");
  const registry = clients.client(RegistryProxyDefinition, "registry-proxy");
  const authority = config.identity === undefined ? undefined : clients.client(AuthorityDefinition, "authority");
  const images = new Images({ store, snapshotter, bus });
  const volumes = new Volumes({
    nodes,
    connect: (nodeId) => clients.client(VolumesDefinition, "supervisor", { nodeId }),
  });
  const containers = new Containers({ nodes, images, nodesOfVolume: (name) => volumes.nodesOf(name), log });
  const feed = new EventFeed({ bus, log, signal });
  feed.listen(({ type }) => {
    if (type === "image") images.invalidate();
  });
  images.feedIsLive = true;
  const nodeAdministration = new NodeAdministration(bus, async (nodeId) => shutOut(authority, nodeId));
  const moves = new Moves({
    containers,
    administration: nodeAdministration,
    connect: (nodeId) => clients.client(MovesDefinition, "supervisor", { nodeId }),
  });
  const api = new Api(log);
  addRoutes(api, {
    log,
    bus,
    containers,
    volumes,
    images,
    feed,
    registry,
    snapshotterSoon,
    authority,
    hostId,
    nodeAdministration,
    moves,
    builtAt: builtAt(),
  });
  return { ...base, api, services: { bus, feed, clients, nodes, nodeAdministration, containers, volumes, images } };
}

/** A node that joined before there was an authority, or never did, has no certificates. */
async function shutOut(authority: Authority | undefined, node: string): Promise<void> {
  await authority?.revokeMember({ node }).catch((error: unknown) => {
    if (!isBerthError(error) || error.reason !== "NOT_FOUND") throw error;
  });
}

/** When this program was bundled: the bundle's own time. */
function builtAt(): Date {
  try {
    return statSync(process.argv[1] ?? "").mtime;
  } catch {
    return new Date(0);
  }
}
