import { type EventRecord, newEventId, nowNano } from "@berth/bus";

/** A volume's event as Docker's /events tells it. `nodeId` is this node's. */
export function volumeEvent(
  nodeId: string,
  action: "create" | "mount" | "unmount" | "destroy" | "prune",
  name: string,
  attributes: Record<string, string>,
): EventRecord {
  const timeNano = nowNano().toString();
  return { id: newEventId(), type: "volume", action, actorId: name, attributes, timeNano, nodeId, scope: "local" };
}
