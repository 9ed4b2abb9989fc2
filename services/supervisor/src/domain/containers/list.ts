import { invalid } from "../errors.ts";
import type { ContainerRecord } from "../model.ts";
import { textOrPattern } from "../pattern.ts";
import type { Container } from "./container.ts";
import type { Parts } from "./parts.ts";
import { isActive } from "./state.ts";

export interface ListOptions {
  filters: Readonly<Record<string, readonly string[]>>;
  /** Not only those that run. */
  all: boolean;
  /** 0: no limit. */
  limit: number;
  /** Made before and after these moments; RFC 3339 with nanoseconds, "" for any. */
  createdBefore: string;
  createdAfter: string;
}

type Test = (record: ContainerRecord) => boolean;

/**
 * `GET /containers/json`: newest first. The filters' values were checked by whoever took them from a client.
 * @throws INVALID_ARGUMENT for a filter that there is none of
 */
export function listContainers(parts: Parts, options: ListOptions): Container[] {
  const { filters, all, limit, createdBefore, createdAfter } = options;
  const tests = Object.entries(filters).flatMap(([name, values]) =>
    values.length === 0 ? [] : [testFor(name, values)],
  );
  if (createdBefore !== "") tests.push(({ created }) => created < createdBefore);
  if (createdAfter !== "") tests.push(({ created }) => created > createdAfter);
  const ports = portTest(filters["publish"] ?? [], filters["expose"] ?? []);
  if (ports !== undefined) tests.push(ports);
  // A state asked for, or a limit, means that those that do not run count too.
  const everything = all || limit > 0 || (filters["status"]?.length ?? 0) > 0;
  const found = parts.registry
    .all()
    .filter(({ record }) => everything || isActive(record))
    .filter(({ record }) => tests.every((test) => test(record)))
    .sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  return limit > 0 ? found.slice(0, limit) : found;
}

function testFor(name: string, values: readonly string[]): Test {
  switch (name) {
    case "id":
      return any(
        values,
        (pattern) =>
          ({ id }) =>
            pattern(id),
      );
    case "name":
      return any(values, (pattern) => (record) => pattern(`/${record.name}`) || pattern(record.name));
    case "status":
      return any(
        values,
        (pattern) =>
          ({ state }) =>
            pattern(state.status),
      );
    case "label":
      // Labels narrow each other down, the other filters' values widen.
      return (record) => values.every((value) => hasLabel(record, value));
    case "exited":
      return exitedTest(new Set(values.map(Number)));
    case "ancestor":
      return ({ spec }) => values.includes(spec.imageId);
    case "network":
      return (record) => values.some((value) => isOnNetwork(record, value));
    case "volume":
      return ({ mounts }) =>
        mounts.some(({ name: volume, source, destination }) =>
          values.some((value) => destination === value || (volume || source) === value),
        );
    case "health":
      return (record) => values.includes(healthOf(record));
    case "is-task":
      // Tasks are swarm's, and there is no swarm.
      return () => values.some((value) => value === "false" || value === "0");
    case "publish":
    case "expose":
    case "isolation":
      return () => true;
    default:
      throw invalid(`invalid filter '${name}'`);
  }
}

/** Any of the values fits. */
function any(values: readonly string[], test: (pattern: (text: string) => boolean) => Test): Test {
  const tests = values.map((value) => test(textOrPattern(value)));
  return (record) => tests.some((one) => one(record));
}

export function hasLabel({ spec }: ContainerRecord, filter: string): boolean {
  const { labels } = spec.config;
  const equals = filter.indexOf("=");
  if (equals < 0) return Object.hasOwn(labels, filter);
  const key = filter.slice(0, equals);
  return Object.hasOwn(labels, key) && labels[key] === filter.slice(equals + 1);
}

function exitedTest(codes: ReadonlySet<number>): Test {
  return (record) => !isActive(record) && record.state.startedAt !== "" && codes.has(record.state.exitCode);
}

function isOnNetwork({ endpoints, spec }: ContainerRecord, value: string): boolean {
  const { networkMode } = spec.hostConfig;
  return (
    (networkMode === "default" ? "bridge" : networkMode) === value ||
    endpoints.some(({ network, networkId }) => network === value || (value !== "" && networkId.startsWith(value)))
  );
}

/** "none" for a container without a health check. */
function healthOf({ state }: ContainerRecord): string {
  return state.health?.status ?? "none";
}

/**
 * Published and exposed ports, of which one is enough. What does not run has neither, as with Docker.
 * @param publish "8080/tcp" or "8000-8010/tcp", already checked
 */
function portTest(publish: readonly string[], expose: readonly string[]): Test | undefined {
  if (publish.length === 0 && expose.length === 0) return undefined;
  const published = publish.map(portRange);
  const exposed = expose.map(portRange);
  return (record) => {
    if (!isActive(record)) return false;
    const bound = record.ports.map(({ hostPort, containerPort }) => ({ hostPort, ...portRange(containerPort) }));
    const open = [...bound, ...record.spec.config.exposedPorts.map(portRange)];
    return (
      bound.some(({ hostPort, protocol }) =>
        published.some((range) => protocol === range.protocol && hostPort >= range.first && hostPort <= range.last),
      ) ||
      open.some(({ first, protocol }) =>
        exposed.some((range) => protocol === range.protocol && first >= range.first && first <= range.last),
      )
    );
  };
}

interface PortRange {
  first: number;
  last: number;
  protocol: string;
}

function portRange(text: string): PortRange {
  const [range = "", protocol = "tcp"] = text.split("/");
  const [first = "", last = first] = range.split("-");
  return { first: Number(first), last: Number(last), protocol };
}
