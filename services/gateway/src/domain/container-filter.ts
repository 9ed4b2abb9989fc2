import { BerthError } from "@berth/errors";
import { type Filters, filterFlag, integerProblem } from "../http/query.ts";
import type { Containers } from "./containers.ts";
import type { Images } from "./images.ts";

export const containerFilters = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "isolation",
  "is-task",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];

const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const healthStates = ["none", "starting", "healthy", "unhealthy"];

interface Time {
  seconds: number;
  nanos: number;
}

/** What of a list's filters goes to the supervisors. */
export interface ContainerQuery {
  filters: Record<string, { values: string[] }>;
  createdBefore?: Time;
  createdAfter?: Time;
  /** Set when nothing can pass: an ancestor that there is no image of. */
  isEmpty: boolean;
}

/**
 * Checks the filters of GET /containers/json and looks up what they name, so that supervisors need to know neither images
 * nor each other's containers.
 * @throws INVALID_ARGUMENT with Docker's texts; NO_SUCH_CONTAINER for before and since
 */
export async function containerQuery(
  filters: Filters,
  containers: Containers,
  images: Images,
  signal: AbortSignal,
): Promise<ContainerQuery> {
  checkValues(filters);
  const passed = Object.fromEntries(
    [...filters]
      .filter(([key]) => key !== "before" && key !== "since")
      .map(([key, values]) => [key, { values: [...values] }]),
  );
  const query: ContainerQuery = { filters: passed, isEmpty: false };
  const ancestors = filters.get("ancestor");
  if (ancestors !== undefined && ancestors.length > 0) {
    const ids = await descendants(ancestors, images, signal);
    passed["ancestor"] = { values: ids };
    query.isEmpty = ids.length === 0;
  }
  const before = await creationOf(filters.get("before")?.at(-1), containers, signal);
  if (before !== undefined) query.createdBefore = before;
  const since = await creationOf(filters.get("since")?.at(-1), containers, signal);
  if (since !== undefined) query.createdAfter = since;
  return query;
}

function checkValues(filters: Filters): void {
  for (const value of filters.get("exited") ?? []) {
    const problem = integerProblem(value);
    if (problem === undefined) continue;
    throw invalid(`invalid filter 'exited=${value}': strconv.Atoi: parsing ${JSON.stringify(value)}: ${problem}`);
  }
  for (const value of filters.get("status") ?? []) {
    if (states.includes(value)) continue;
    const known = states.join(", ");
    throw invalid(`invalid filter 'status=${value}': invalid value for state (${value}): must be one of ${known}`);
  }
  filterFlag(filters, "is-task");
  for (const value of filters.get("health") ?? []) {
    if (healthStates.includes(value)) continue;
    const known = healthStates.join(", ");
    throw invalid(`invalid filter 'health=${value}': invalid value for health (${value}): must be one of ${known}`);
  }
  for (const key of ["publish", "expose"]) for (const value of filters.get(key) ?? []) checkPorts(key, value);
}

/** "80", "80/udp" or "8000-8010/tcp". */
function checkPorts(key: string, value: string): void {
  if (value.includes(":")) throw invalid(`filter for '${key}' should not contain ':': ${value}`);
  const [range = ""] = value.split("/");
  const refuse = (why: string): never => {
    throw invalid(`error while looking up for ${key} ${value}: ${why}`);
  };
  if (range === "") refuse("empty string specified for ports");
  const parts = range.includes("-")
    ? [range.slice(0, range.indexOf("-")), range.slice(range.indexOf("-") + 1)]
    : [range];
  for (const part of parts) {
    if (!/^[0-9]+$/.test(part)) refuse(`strconv.ParseUint: parsing ${JSON.stringify(part)}: invalid syntax`);
    if (Number(part) > 65_535) refuse(`strconv.ParseUint: parsing ${JSON.stringify(part)}: value out of range`);
  }
  const [first = 0, last = first] = parts.map(Number);
  if (last < first) refuse(`Invalid range specified for the Port: ${range}`);
}

/** Ids of the images that the names mean, and of all that were made from them. */
async function descendants(names: readonly string[], images: Images, signal: AbortSignal): Promise<string[]> {
  const found = await Promise.all(names.map((name) => images.get(name).catch(() => undefined)));
  const ids = new Set(found.flatMap((image) => (image === undefined ? [] : [image.id])));
  if (ids.size === 0) return [];
  const { images: all } = await images.store.listImages({ all: true, brief: true }, { signal });
  for (let before = -1; before < ids.size; ) {
    before = ids.size;
    for (const { id, parent } of all) if (ids.has(parent)) ids.add(id);
  }
  return [...ids];
}

async function creationOf(
  name: string | undefined,
  containers: Containers,
  signal: AbortSignal,
): Promise<Time | undefined> {
  if (name === undefined) return undefined;
  return (await containers.inspect(name, false, signal)).created;
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
