import { isBerthError } from "@berth/errors";
import type { ContainerSpec } from "../../rpc/types.ts";
import { readAffinities, readConstraints, type Wish } from "./placement.ts";

/** Where what a container may belong to is. */
export interface Whereabouts {
  /** @throws NO_SUCH_CONTAINER, UNAVAILABLE */
  nodeOfContainer(reference: string): Promise<string>;
  /** None: nobody has it yet. */
  nodesOfVolume(name: string): Promise<string[]>;
}

/** µs; the kernel's. */
const defaultPeriod = 100_000;

/** What a container reserves of its node, and which nodes its labels allow. @throws INVALID_ARGUMENT */
export function ownWish({ config, hostConfig }: ContainerSpec): Wish {
  const labels = config?.labels ?? {};
  const { nanoCpus = 0, cpuQuota = 0, cpuPeriod = 0, memory = 0, memoryReservation = 0 } = hostConfig?.resources ?? {};
  const byQuota = cpuQuota > 0 ? cpuQuota / (cpuPeriod || defaultPeriod) : 0;
  return {
    cpus: nanoCpus > 0 ? nanoCpus / 1e9 : byQuota,
    memory: memoryReservation || memory,
    constraints: readConstraints(labels),
    runtime: hostConfig?.runtime ?? "",
  };
}

/** As {@link ownWish}, with the nodes of what it must be with, or away from. @throws INVALID_ARGUMENT, NO_SUCH_CONTAINER, UNAVAILABLE */
export async function wishOf(spec: ContainerSpec, where: Whereabouts): Promise<Wish> {
  const affinities = readAffinities(spec.config?.labels ?? {});
  const wanted = affinities.filter(({ isWith }) => isWith).map(({ container }) => container);
  const avoided = affinities.filter(({ isWith }) => !isWith).map(({ container }) => container);
  const [named, implied, volumes, apart] = await Promise.all([
    Promise.all(wanted.map((reference) => where.nodeOfContainer(reference))),
    Promise.all(references(spec).map((reference) => where.nodeOfContainer(reference).catch(leaveToNode))),
    Promise.all(volumeNames(spec).map((name) => where.nodesOfVolume(name))),
    Promise.all(avoided.map((reference) => where.nodeOfContainer(reference).catch(leaveToNode))),
  ]);
  const sets = [...[...named, ...implied].map((node) => (node === undefined ? [] : [node])), ...volumes];
  return {
    ...ownWish(spec),
    together: common(sets.filter((nodes) => nodes.length > 0)),
    apart: new Set(apart.filter((node) => node !== undefined)),
  };
}

/** The containers whose namespaces, volumes or addresses it shares: they are on its node. */
function references({ hostConfig: host }: ContainerSpec): string[] {
  if (host === undefined) return [];
  const modes = [host.networkMode, host.ipcMode, host.pidMode].filter((mode) => mode.startsWith("container:"));
  return [
    ...modes.map((mode) => mode.slice("container:".length)),
    ...host.volumesFrom.map((text) => text.split(":")[0] ?? ""),
    ...host.links.map((text) => text.split(":")[0]?.replace(/^\//, "") ?? ""),
  ].filter((reference) => reference !== "");
}

/** Named volumes, by -v NAME:PATH and --mount type=volume. */
function volumeNames({ hostConfig: host }: ContainerSpec): string[] {
  if (host === undefined) return [];
  const byBind = host.binds
    .map((text) => text.split(":"))
    .filter((parts) => parts.length > 1 && !parts[0]?.startsWith("/"));
  const byMount = host.mounts.filter(({ type, source }) => type === "volume" && source !== "");
  return [...new Set([...byBind.map(([name = ""]) => name), ...byMount.map(({ source }) => source)])];
}

/** Nodes that are in all of the sets; undefined for no set. */
function common(sets: readonly string[][]): Set<string> | undefined {
  const [first, ...others] = sets;
  if (first === undefined) return undefined;
  return new Set(first.filter((node) => others.every((set) => set.includes(node))));
}

/** What is not there is the supervisor's to refuse, in Docker's words for each case. */
function leaveToNode(error: unknown): undefined {
  if (isBerthError(error) && error.reason === "NO_SUCH_CONTAINER") return undefined;
  throw error;
}
