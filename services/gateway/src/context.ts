import { createServiceContext, type ServiceContext } from "@berth/rpc";
import type { GatewayConfig } from "./config.ts";
import { Containers } from "./domain/containers.ts";
import { EventFeed } from "./domain/events.ts";
import { Images } from "./domain/images.ts";
import { Nodes } from "./domain/nodes.ts";
import { Api } from "./http/server.ts";
import { addRoutes } from "./routes/index.ts";
import {
  ImageStoreDefinition,
  RegistryProxyDefinition,
  SnapshotterDefinition,
  SupervisorDefinition,
} from "./rpc/types.ts";

export interface GatewayContext extends ServiceContext {
  api: Api;
}

/** Builds every part once. The gateway keeps nothing on disk: what it remembers it can ask for again. */
export async function createContext(config: GatewayConfig, signal: AbortSignal): Promise<GatewayContext> {
  const base = await createServiceContext(config, signal);
  const { bus, clients, log } = base;
  const { hostId } = config;
  const nodes = new Nodes({
    bus,
    hostId,
    connect: ({ nodeId }) => clients.client(SupervisorDefinition, "supervisor", { nodeId }),
  });
  const anySnapshotter = clients.client(SnapshotterDefinition, "snapshotter");
  const snapshotter = () => (bus.instances("snapshotter").length > 0 ? anySnapshotter : undefined);
  const store = clients.client(ImageStoreDefinition, "image-store");
  const registry = clients.client(RegistryProxyDefinition, "registry-proxy");
  const images = new Images({ store, snapshotter, bus });
  const containers = new Containers({ nodes, images, log });
  const feed = new EventFeed({ bus, log, signal });
  feed.listen(({ type }) => {
    if (type === "image") images.invalidate();
  });
  images.feedIsLive = true;
  const api = new Api(log);
  addRoutes(api, { bus, containers, images, feed, registry, snapshotter, hostId, startedAt: new Date() });
  return { ...base, api };
}
