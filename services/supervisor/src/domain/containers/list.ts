import { BerthError } from "@berth/errors";
import { invalid } from "../errors.ts";
import { type ContainerRecord, type Status, statuses } from "../model.ts";
import { toNano } from "../time.ts";
import type { Container } from "./container.ts";
import type { Parts } from "./parts.ts";
import { isActive } from "./state.ts";

export interface ListOptions {
  filters: Readonly<Record<string, readonly string[]>>;
  /** Not only those that run. */
  all: boolean;
  /** 0: no limit. */
  limit: number;
}

type Test = (record: ContainerRecord) => boolean;

/** `GET /containers/json`: newest first. Throws INVALID_ARGUMENT, NO_SUCH_CONTAINER with Docker's texts. */
export function listContainers(parts: Parts, { filters, all, limit }: ListOptions): Container[] {
  const tests = Object.entries(filters).flatMap(([name, values]) =>
    values.length === 0 ? [] : [testFor(parts, name, values)],
  );
  // A state asked for, or a limit, means that those that do not run count too.
  const everything =
    all || limit > 0 || ["status", "exited", "before", "since"].some((name) => (filters[name]?.length ?? 0) > 0);
  const found = parts.registry
    .all()
    .filter(({ record }) => everything || isActive(record))
    .filter(({ record }) => tests.every((test) => test(record)))
    .sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  return limit > 0 ? found.slice(0, limit) : found;
}

function testFor(parts: Parts, name: string, values: readonly string[]): Test {
  const any =
    (test: (value: string, record: ContainerRecord) => boolean): Test =>
    (record) =>
      values.some((value) => test(value, record));
  switch (name) {
    case "id":
      return any((value, { id }) => id.startsWith(value) || matches(value, id));
    case "name":
      return any((value, record) => matches(value, record.name) || matches(value, `/${record.name}`));
    case "label":
      // Labels narrow each other down, the other filters' values widen.
      return (record) => values.every((value) => hasLabel(record, value));
    case "status":
      return any(statusTest(values));
    case "exited":
      return exitedTest(values);
    case "ancestor":
      return any((value, record) => isAncestor(record, value));
    case "before":
    case "since":
      return relationTest(parts, name, values);
    case "network":
      return any((value, record) => onNetwork(record, value));
    case "volume":
      return any((value, record) =>
        record.mounts.some((mount) => mount.name === value || mount.destination === value || mount.source === value),
      );
    case "publish":
    case "expose":
      return portTest(name, values);
    case "health":
      for (const value of values) oneOf(name, value, "health", ["none", "starting", "healthy", "unhealthy"]);
      return () => values.includes("none");
    case "isolation":
      return () => true;
    case "is-task":
      return isTaskTest(values);
    default:
      throw invalid(`invalid filter '${name}'`);
  }
}

/** A pattern as given, or text where it is none. */
function matches(pattern: string, text: string): boolean {
  // Bounded, as patterns are the caller's: a long one is taken literally.
  if (pattern.length > 256) return text.includes(pattern);
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return text.includes(pattern);
  }
}

export function hasLabel({ spec }: ContainerRecord, filter: string): boolean {
  const { labels } = spec.config;
  const equals = filter.indexOf("=");
  if (equals < 0) return Object.hasOwn(labels, filter);
  return labels[filter.slice(0, equals)] === filter.slice(equals + 1);
}

function oneOf(filter: string, value: string, what: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  throw invalid(
    `invalid filter '${filter}=${value}': invalid value for ${what} (${value}): must be one of ${known.join(", ")}`,
  );
}

function statusTest(values: readonly string[]): (value: string, record: ContainerRecord) => boolean {
  for (const value of values) oneOf("status", value, "state", statuses);
  return (value, { state }) => state.status === (value as Status);
}

function exitedTest(values: readonly string[]): Test {
  const codes = values.map((value) => {
    if (!/^[+-]?\d+$/.test(value))
      throw invalid(`invalid filter 'exited=${value}': strconv.Atoi: parsing "${value}": invalid syntax`);
    return Number(value);
  });
  return ({ state }) => state.status === "exited" && codes.includes(state.exitCode);
}

function isAncestor({ spec }: ContainerRecord, value: string): boolean {
  const { image } = spec.config;
  const tagged = image.includes("@") || /:[^/]*$/.test(image) ? image : `${image}:latest`;
  const wanted = value.includes("@") || /:[^/]*$/.test(value) ? value : `${value}:latest`;
  const bare = spec.imageId.replace(/^sha256:/, "");
  return (
    image === value ||
    tagged === wanted ||
    spec.imageId === value ||
    (value.length >= 4 && bare.startsWith(value.replace(/^sha256:/, "")))
  );
}

function relationTest(parts: Parts, name: "before" | "since", values: readonly string[]): Test {
  const times = values.map((value) => toNano(parts.registry.find(value).record.created));
  return ({ created }) => times.every((time) => (name === "before" ? toNano(created) < time : toNano(created) > time));
}

function onNetwork({ endpoints, spec }: ContainerRecord, value: string): boolean {
  return (
    spec.hostConfig.networkMode === value ||
    endpoints.some(({ network, networkId }) => network === value || networkId.startsWith(value))
  );
}

function portTest(name: "publish" | "expose", values: readonly string[]): Test {
  const wanted = new Set(values.flatMap((value) => portsOf(name, value)));
  return (record) => {
    if (name === "expose") {
      return record.spec.config.exposedPorts.some((port) => wanted.has(port.includes("/") ? port : `${port}/tcp`));
    }
    return record.ports.some(
      ({ hostPort, containerPort }) => hostPort > 0 && wanted.has(`${hostPort}/${containerPort.split("/")[1]}`),
    );
  };
}

function portsOf(name: string, value: string): string[] {
  const [range = "", protocol = "tcp"] = value.split("/");
  const [first, last = first] = range.split("-");
  for (const part of [first, last]) {
    if (!/^\d{1,5}$/.test(part ?? "")) {
      throw new BerthError(
        "INVALID_ARGUMENT",
        `error while looking up for ${name} ${value}: strconv.ParseUint: parsing "${part}": invalid syntax`,
      );
    }
  }
  const count = Math.max(0, Math.min(Number(last) - Number(first) + 1, 65_536));
  return Array.from({ length: count }, (_, index) => `${Number(first) + index}/${protocol}`);
}

function isTaskTest(values: readonly string[]): Test {
  for (const value of values) {
    if (!["true", "1", "false", "0"].includes(value)) throw invalid(`invalid filter 'is-task=[${values.join(" ")}]'`);
  }
  return () => values.some((value) => value === "false" || value === "0");
}
