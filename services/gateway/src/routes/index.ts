import type { EventFeed } from "../domain/events.ts";
import type { Moves } from "../domain/moves/moves.ts";
import type { NodeAdministration } from "../domain/nodes/administration.ts";
import type { Api } from "../http/server.ts";
import type { Authority } from "../rpc/types.ts";
import { absentRoutes } from "./absent.ts";
import { clusterRoutes } from "./cluster.ts";
import { containerRoutes } from "./containers.ts";
import { type DiskUsageParts, diskUsageRoutes } from "./disk-usage.ts";
import { eventRoutes } from "./events.ts";
import { execRoutes } from "./exec.ts";
import { fileRoutes } from "./files.ts";
import { imageRoutes } from "./images.ts";
import { moveRoutes } from "./moves.ts";
import { networkRoutes } from "./networks.ts";
import { nodeRoutes } from "./nodes.ts";
import { registryRoutes } from "./registry.ts";
import { statsRoutes } from "./stats.ts";
import { streamRoutes } from "./streams.ts";
import { type SystemParts, systemRoutes } from "./system.ts";
import { type TransferParts, transferRoutes } from "./transfer.ts";
import { volumeRoutes } from "./volumes.ts";

export type Parts = SystemParts &
  DiskUsageParts &
  TransferParts & {
    feed: EventFeed;
    hostId: string;
    authority: Authority | undefined;
    nodeAdministration: NodeAdministration;
    moves: Moves;
  };

/** The whole Engine API, as far as it goes. */
export function addRoutes(api: Api, parts: Parts): void {
  const { containers, feed, hostId, images, volumes } = parts;
  systemRoutes(api, parts);
  diskUsageRoutes(api, parts);
  eventRoutes(api, feed);
  containerRoutes(api, containers, images, feed);
  streamRoutes(api, containers, hostId);
  statsRoutes(api, containers);
  execRoutes(api, containers, hostId);
  fileRoutes(api, containers, images, hostId);
  imageRoutes(api, images, containers);
  transferRoutes(api, parts);
  registryRoutes(api, parts.registry);
  networkRoutes(api, containers);
  volumeRoutes(api, volumes);
  clusterRoutes(api, parts.authority);
  nodeRoutes(api, parts.nodeAdministration);
  moveRoutes(api, parts.moves);
  absentRoutes(api);
}
