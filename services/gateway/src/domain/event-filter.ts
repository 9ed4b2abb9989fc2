import type { EventRecord } from "@berth/bus";
import { familiarName, parseReference } from "@berth/oci";
import { hasLabel } from "./labels.ts";

type Filters = ReadonlyMap<string, readonly string[]>;
type Test = (event: EventRecord) => boolean;

/** Kinds of actors that can be asked for by id or name, swarm's included: their events never come. */
const actors = ["config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"];

/**
 * Whether an event passes the filters of GET /events: every filter must match, by any of its values. Filters that nobody
 * knows are passed over, as Docker does it here.
 */
export function eventMatcher(filters: Filters): Test {
  const tests = [...filters].filter(([, values]) => values.length > 0).map(([key, values]) => testOf(key, values));
  return (event) => tests.every((test) => test(event));
}

function testOf(key: string, values: readonly string[]): Test {
  switch (key) {
    case "event":
      return actionTest(values);
    case "type":
      return ({ type }) => values.includes(type);
    case "scope":
      return ({ scope }) => values.includes(scope);
    case "label":
      return ({ attributes }) => values.every((value) => hasLabel(attributes, value));
    case "image":
      return (event) => imageNames(event).some((name) => values.includes(name));
    default:
      // By the beginning of the id or of the name, whatever kind of actor the event is about.
      if (!actors.includes(key)) return () => true;
      return ({ actorId, attributes }) =>
        values.some((value) => actorId.startsWith(value) || (attributes["name"] ?? "").startsWith(value));
  }
}

/** Actions that carry more after a colon ("exec_create: sh"); asked for, they make every value a beginning. */
const withDetail = ["health_status", "exec_create", "exec_start"];

function actionTest(values: readonly string[]): Test {
  if (!values.some((value) => withDetail.includes(value))) return ({ action }) => values.includes(action);
  return ({ action }) => values.some((value) => action.startsWith(value));
}

/** What an event's image may be called: an image's own id and name, or that of a container's image, with and without tag. */
function imageNames({ type, actorId, attributes }: EventRecord): string[] {
  const name = attributes[type === "image" ? "name" : "image"] ?? "";
  return [actorId, name, withoutTag(actorId), withoutTag(name)].filter((text) => text !== "");
}

function withoutTag(image: string): string {
  try {
    return familiarName(parseReference(image));
  } catch {
    return image;
  }
}
