import type { EventRecord } from "@berth/bus";

/** One line of GET /events: the fields of every API version at once, as Docker sends them. */
function eventJson(event: EventRecord): Record<string, unknown> {
  const nano = BigInt(event.timeNano);
  // The oldest fields exist for containers and images alone.
  const isOld = event.type === "container" || event.type === "image";
  const from = event.type === "container" ? event.attributes["image"] : undefined;
  return {
    ...(isOld ? { status: event.action, ...(event.actorId === "" ? {} : { id: event.actorId }) } : {}),
    ...(from === undefined ? {} : { from }),
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.actorId, Attributes: sorted(event.attributes) },
    scope: event.scope,
    time: Number(nano / 1_000_000_000n),
    timeNano: event.timeNano,
  };
}

/** The line itself. timeNano is a JSON number that no double holds, so it is put in as text. */
export function eventLine(event: EventRecord): string {
  const { timeNano, ...rest } = eventJson(event);
  return `${JSON.stringify(rest).slice(0, -1)},"timeNano":${String(timeNano)}}\n`;
}

/** Go writes maps in the order of their keys, and logs are compared as text. */
function sorted(attributes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}
