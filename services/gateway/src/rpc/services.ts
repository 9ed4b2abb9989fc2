import { EventsDefinition } from "@berth/api/events";
import { NodesDefinition } from "@berth/api/nodes";
import type { Bus } from "@berth/bus";
import type { Clients, RawClient, RpcServer } from "@berth/rpc";
import type { Containers } from "../domain/containers.ts";
import type { EventFeed } from "../domain/events.ts";
import type { Images } from "../domain/images.ts";
import type { NodeAdministration } from "../domain/nodes/administration.ts";
import type { Nodes } from "../domain/nodes/nodes.ts";
import type { Volumes } from "../domain/volumes.ts";
import { eventCalls } from "./events.ts";
import { nodeCalls } from "./nodes.ts";
import { type Hop, passOn } from "./proxy.ts";
import { containerRoutes } from "./routes-containers.ts";
import { imageRoutes, registryRoutes } from "./routes-images.ts";
import { volumeRoutes } from "./routes-volumes.ts";
import { ImageStoreDefinition, RegistryProxyDefinition, SupervisorDefinition, VolumesDefinition } from "./types.ts";

export interface ServicesParts {
  bus: Pick<Bus, "eventsRange">;
  feed: EventFeed;
  clients: Pick<Clients, "raw">;
  nodes: Nodes;
  nodeAdministration: NodeAdministration;
  containers: Containers;
  volumes: Volumes;
  images: Images;
}

/** The gateway's own gRPC: the public services of all nodes as if they were one. */
export function addServices(server: RpcServer, parts: ServicesParts): void {
  const { bus, feed, clients, nodes, nodeAdministration, containers, volumes, images } = parts;
  const supervisorOf = oncePerNode((nodeId) => clients.raw(SupervisorDefinition, "supervisor", { nodeId }));
  const volumesOf = oncePerNode((nodeId) => clients.raw(VolumesDefinition, "supervisor", { nodeId }));
  const store = clients.raw(ImageStoreDefinition, "image-store");
  const registry = clients.raw(RegistryProxyDefinition, "registry-proxy");
  server.addRaw(SupervisorDefinition, passOn(SupervisorDefinition, containerRoutes(containers), supervisorOf));
  server.addRaw(VolumesDefinition, passOn(VolumesDefinition, volumeRoutes(volumes, nodes), volumesOf));
  server.addRaw(
    ImageStoreDefinition,
    passOn(ImageStoreDefinition, imageRoutes(images, containers), () => store),
  );
  server.addRaw(
    RegistryProxyDefinition,
    passOn(RegistryProxyDefinition, registryRoutes(), () => registry),
  );
  server.add(EventsDefinition, eventCalls(feed, bus));
  server.add(NodesDefinition, nodeCalls(nodes, nodeAdministration));
}

/** A node's client is kept: it knows the connections that it has. */
function oncePerNode<C extends RawClient<never>>(connect: (nodeId: string | undefined) => C): (hop: Hop) => C {
  const known = new Map<Hop, C>();
  return (nodeId) => {
    let client = known.get(nodeId);
    if (client === undefined) known.set(nodeId, (client = connect(nodeId)));
    return client;
  };
}
