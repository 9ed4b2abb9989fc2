import { type EventRecord, newEventId, nowNano } from "@berth/bus";
import type { ContainerRecord, Endpoint } from "../model.ts";

/** A container's event as Docker's /events tells it. `nodeId` is this node's. */
export function containerEvent(
  nodeId: string,
  record: ContainerRecord,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): EventRecord {
  const { config } = record.spec;
  return {
    id: newEventId(),
    type: "container",
    action,
    actorId: record.id,
    attributes: {
      ...attributes,
      ...config.labels,
      ...(config.image === "" ? {} : { image: config.image }),
      name: record.name,
    },
    timeNano: nowNano().toString(),
    nodeId,
    scope: "local",
  };
}

export function networkEvent(
  nodeId: string,
  action: "connect" | "disconnect",
  container: string,
  endpoint: Endpoint,
): EventRecord {
  const type = endpoint.network === "none" ? "null" : endpoint.network;
  return {
    id: newEventId(),
    type: "network",
    action,
    actorId: endpoint.networkId,
    attributes: { container, name: endpoint.network, type },
    timeNano: nowNano().toString(),
    nodeId,
    scope: "local",
  };
}
