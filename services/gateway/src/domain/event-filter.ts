import type { EventRecord } from "@berth/bus";

type Filters = ReadonlyMap<string, readonly string[]>;

export const eventFilters = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume",
];

/** Whether an event passes the filters of GET /events: every filter must match, by any of its values. */
export function eventMatcher(filters: Filters): (event: EventRecord) => boolean {
  const tests = [...filters].filter(([, values]) => values.length > 0).map(([key, values]) => testOf(key, values));
  return (event) => tests.every((test) => test(event));
}

function testOf(key: string, values: readonly string[]): (event: EventRecord) => boolean {
  switch (key) {
    case "event":
      // "exec_create" matches "exec_create: sh -c true".
      return ({ action }) => values.some((value) => action === value || action.startsWith(`${value}:`));
    case "type":
      return ({ type }) => values.includes(type);
    case "scope":
      return ({ scope }) => values.includes(scope);
    case "label":
      return ({ attributes }) => values.every((value) => hasLabel(attributes, value));
    case "image":
      return (event) => values.some((value) => matchesImage(event, value));
    case "container":
    case "network":
    case "volume":
    case "daemon":
      return (event) => values.some((value) => matchesActor(event, key, value));
    default:
      return () => false;
  }
}

function hasLabel(attributes: Record<string, string>, filter: string): boolean {
  const [key = "", value] = filter.split(/=(.*)/s);
  return Object.hasOwn(attributes, key) && (value === undefined || attributes[key] === value);
}

function matchesActor(event: EventRecord, type: string, value: string): boolean {
  if (event.type === type)
    return event.actorId === value || isIdPrefix(event.actorId, value) || event.attributes["name"] === value;
  // A network's event about a container belongs to that container too.
  return (
    type === "container" &&
    event.attributes["container"] !== undefined &&
    isIdPrefix(event.attributes["container"], value)
  );
}

function isIdPrefix(id: string, prefix: string): boolean {
  return prefix.length >= 3 && id.startsWith(prefix);
}

function matchesImage(event: EventRecord, value: string): boolean {
  if (event.type !== "image" && event.type !== "container") return false;
  const names = [
    event.type === "image" ? event.actorId : "",
    event.attributes["name"] ?? "",
    event.attributes["image"] ?? "",
  ];
  const plain = (name: string) => name.replace(/:[^:/]+$/, "");
  return names.some((name) => name !== "" && (name === value || plain(name) === value || plain(name) === plain(value)));
}
