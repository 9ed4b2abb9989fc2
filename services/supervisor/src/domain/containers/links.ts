import { BerthError, isBerthError } from "@berth/errors";
import { failed, invalid, noSuchContainer } from "../errors.ts";
import type { ContainerRecord, ContainerSpec, LinkRecord } from "../model.ts";
import { parseContainerPort } from "../validate/ports.ts";
import type { Container } from "./container.ts";
import type { Parts } from "./parts.ts";
import { isRunning } from "./state.ts";

/**
 * --link, the default bridge's way to names: an entry in /etc/hosts and variables of the linked container. Another network has
 * names of its own. Throws INVALID_ARGUMENT, INTERNAL with Docker's texts.
 */
export function resolveLinks(parts: Parts, { hostConfig: host }: ContainerSpec): LinkRecord[] {
  if (host.networkMode !== "bridge") return [];
  const found = new Map<string, LinkRecord>();
  for (const text of host.links) {
    const { name, alias } = parseLink(text);
    const child = linked(parts, name);
    if (child.record.spec.hostConfig.networkMode === "host") {
      throw invalid(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    }
    found.set(alias, { alias, containerId: child.id });
  }
  return [...found.values()];
}

/** "name", "name:alias", or as inspect shows them: "/name:/parent/alias". */
function parseLink(text: string): { name: string; alias: string } {
  if (text === "") throw failed("empty string specified for links");
  const [name = "", alias = name, ...more] = text.split(":");
  if (more.length > 0) throw failed(`bad format for links: ${text}`);
  if (!name.startsWith("/")) return { name, alias };
  return { name: name.slice(1), alias: alias.slice(alias.lastIndexOf("/") + 1) };
}

/** The container, or the one whose network it shares. */
function linked(parts: Parts, name: string): Container {
  const seen = new Set<string>();
  for (let reference = name; ; ) {
    const child = findLinked(parts, reference);
    const mode = child.record.spec.hostConfig.networkMode;
    if (!mode.startsWith("container:") || seen.has(child.id)) return child;
    seen.add(child.id);
    reference = mode.slice("container:".length);
  }
}

function findLinked(parts: Parts, reference: string): Container {
  try {
    return parts.registry.find(reference);
  } catch (error) {
    if (!isBerthError(error)) throw error;
    throw new BerthError("INVALID_ARGUMENT", `could not get container for ${reference}: ${error.message}`);
  }
}

/** What a start takes from the containers linked to. */
export interface Linked {
  /** Lines of /etc/hosts. */
  hosts: string[];
  env: string[];
}

/** Throws INTERNAL when one does not run or is not on the bridge. */
export function linkedOf(parts: Parts, record: ContainerRecord): Linked {
  const result: Linked = { hosts: [], env: [] };
  for (const { alias, containerId } of record.links ?? []) {
    const child = parts.registry.get(containerId)?.record;
    if (child === undefined) continue;
    if (!isRunning(child))
      throw failed(`Cannot link to a non running container: /${child.name} AS /${record.name}/${alias}`);
    const address = child.endpoints.find(({ network }) => network === "bridge")?.ipAddress ?? "";
    if (address === "") throw failed(`container ${child.id} not attached to default bridge network`);
    result.hosts.push(`${address}\t${[...new Set([alias, child.spec.config.hostname, child.name])].join(" ")}`);
    result.env.push(...variables(`/${record.name}/${alias}`, address, child.spec));
  }
  return result;
}

/** The variables of those links whose containers run: for an exec, which one that has stopped must not keep out. */
export function linkEnv(parts: Parts, record: ContainerRecord): string[] {
  if (record.links === undefined) return [];
  const live = record.links.filter(({ containerId }) => {
    const child = parts.registry.get(containerId)?.record;
    return child !== undefined && isRunning(child) && child.endpoints.some(({ network }) => network === "bridge");
  });
  return linkedOf(parts, { ...record, links: live }).env;
}

/** DB_PORT, DB_PORT_5432_TCP_ADDR, DB_ENV_X and so on (Docker's documentation, "Legacy container links"). */
export function variables(link: string, address: string, { config }: ContainerSpec): string[] {
  const prefix = link
    .slice(link.lastIndexOf("/") + 1)
    .toUpperCase()
    .replaceAll("-", "_");
  const ports = config.exposedPorts
    .flatMap((text) => parseContainerPort(text) ?? [])
    .sort((a, b) => rank(a.protocol) - rank(b.protocol) || a.port - b.port);
  const env: string[] = [];
  const [first] = ports;
  if (first !== undefined) env.push(`${prefix}_PORT=${first.protocol}://${address}:${first.port}`);
  for (let index = 0; index < ports.length; ) {
    let end = index;
    while (ports[end + 1]?.port === (ports[end]?.port ?? 0) + 1 && ports[end + 1]?.protocol === ports[end]?.protocol)
      end++;
    for (const { port, protocol } of ports.slice(index, end + 1)) {
      const name = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
      env.push(`${name}=${protocol}://${address}:${port}`, `${name}_ADDR=${address}`);
      env.push(`${name}_PORT=${port}`, `${name}_PROTO=${protocol}`);
    }
    if (end > index) env.push(...rangeOf(prefix, address, ports[index], ports[end]));
    index = end + 1;
  }
  env.push(`${prefix}_NAME=${link}`);
  for (const entry of config.env) {
    const [name = "", value] = entry.split(/=(.*)/s);
    if (value !== undefined && name !== "HOME" && name !== "PATH") env.push(`${prefix}_ENV_${name}=${value}`);
  }
  return env;
}

type Port = NonNullable<ReturnType<typeof parseContainerPort>>;

function rangeOf(prefix: string, address: string, first: Port | undefined, last: Port | undefined): string[] {
  if (first === undefined || last === undefined) return [];
  const name = `${prefix}_PORT_${first.port}_${first.protocol.toUpperCase()}`;
  return [
    `${name}_START=${first.protocol}://${address}:${first.port}`,
    `${name}_PORT_START=${first.port}`,
    `${name}_END=${last.protocol}://${address}:${last.port}`,
    `${name}_PORT_END=${last.port}`,
  ];
}

/** TCP before the others, which go by name. */
const rank = (protocol: string): number => ["tcp", "sctp", "udp"].indexOf(protocol);

/** "/child:/parent/alias", as inspect shows the links of a container that still are. */
export function shownLinks(parts: Parts, record: ContainerRecord): string[] {
  return (record.links ?? []).flatMap(({ alias, containerId }) => {
    const child = parts.registry.get(containerId);
    return child === undefined ? [] : [`/${child.record.name}:/${record.name}/${alias}`];
  });
}

/** Names that others gave a container: "parent/alias". */
export function linkNames(parts: Parts, id: string): string[] {
  return parts.registry
    .linkedBy(id)
    .flatMap((parent) =>
      (parent.record.links ?? [])
        .filter(({ containerId }) => containerId === id)
        .map(({ alias }) => `${parent.record.name}/${alias}`),
    );
}

/** `rm --link parent/alias`. Throws NO_SUCH_CONTAINER, INTERNAL. */
export async function removeLink(parts: Parts, reference: string): Promise<void> {
  const path = reference.replace(/^\//, "");
  const slash = path.lastIndexOf("/");
  if (slash < 0) {
    parts.registry.find(reference);
    throw failed("Conflict, cannot remove the default link name of the container");
  }
  const parent = parts.registry.byName(path.slice(0, slash));
  const alias = path.slice(slash + 1);
  if (!parent?.record.links?.some((link) => link.alias === alias)) throw noSuchContainer(reference);
  await parent.mutex.run(async () => {
    const { record } = parent;
    // Removed while this waited for its turn: to write its record would bring it back.
    if (parent.removed) throw noSuchContainer(reference);
    record.links = (record.links ?? []).filter((link) => link.alias !== alias);
    parts.registry.relinked(parent);
    await parts.records.commit({ put: record });
  });
}
