import { diskUsage } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import type { ContainerRecord, MountPoint } from "../model.ts";
import { containerOf } from "../validate/modes.ts";
import { localDriver } from "../volumes/local-driver.ts";
import { movingProblem } from "./guard.ts";

export type PartKind = "layer" | "volume" | "files";

/** A directory that goes along. */
export interface Part {
  kind: PartKind;
  /** A volume's. */
  name: string;
  path: string;
}

/** What goes along with a container, in the order in which it is sent. */
export function partsOf(parts: Parts, record: ContainerRecord): Part[] {
  const { local } = parts.volumes.parts.drivers;
  return [
    { kind: "layer", name: "", path: record.layerDirs[0] ?? "" },
    ...volumesOf(record).map((name): Part => ({ kind: "volume", name, path: local.pathOf(name) })),
    { kind: "files", name: "", path: parts.paths.container(record.id) },
  ];
}

export const volumesOf = ({ mounts }: ContainerRecord): string[] => [
  ...new Set(mounts.filter(({ type }) => type === "volume").map(({ name }) => name)),
];

/** bytes on the disk */
export async function sizeOf({ path }: Part): Promise<number> {
  return (await diskUsage(path)).bytes;
}

/** Why a container can't leave this node, one sentence each; none: it can. */
export function obstacles(parts: Parts, { record, removed }: Container): string[] {
  if (removed || record.removing) return ["it is being removed"];
  const moving = movingProblem(record);
  if (moving !== undefined) return [moving.message];
  const { status } = record.state;
  return [
    ...(status === "paused" ? ["it is paused: unpause it first"] : []),
    ...(status === "dead" ? ["it is dead"] : []),
    ...record.mounts.flatMap((point) => mountObstacle(parts, record, point)),
    ...placeObstacles(record),
    ...deviceObstacles(record),
    ...neighbourObstacles(parts, record),
  ];
}

function mountObstacle(parts: Parts, { id }: ContainerRecord, point: MountPoint): string[] {
  const { type, name, source, destination, driver } = point;
  if (type === "bind") return [`${source} of this host is mounted at ${destination}`];
  if (type !== "volume") return [];
  if (driver !== localDriver) return [`volume ${name} is of driver ${driver}, which only this host may have`];
  const options = parts.volumes.record(name)?.options ?? {};
  if (Object.keys(options).length > 0) return [`volume ${name} has options, which name places of this host`];
  const others = parts.volumes.users(name).filter((user) => user !== id);
  const names = others.map((user) => parts.registry.get(user)?.record.name ?? user.slice(0, 12));
  return others.length > 0 ? [`volume ${name} is used by ${names.join(", ")} too`] : [];
}

/** Namespaces, groups and networks of this host or of its containers. */
function placeObstacles({ spec: { hostConfig: host } }: ContainerRecord): string[] {
  const modes = { network: host.networkMode, IPC: host.ipcMode, PID: host.pidMode, UTS: host.utsMode };
  const found = Object.entries(modes).flatMap(([what, mode]) => {
    if (mode === "host") return [`it has the host's ${what} namespace`];
    return containerOf(mode) === undefined ? [] : [`it has the ${what} namespace of another container`];
  });
  if (!["", "default", "bridge", "none", "host"].includes(host.networkMode) && !containerOf(host.networkMode))
    found.push(`network ${host.networkMode} is known to this node alone`);
  return found;
}

function deviceObstacles({ spec: { hostConfig: host } }: ContainerRecord): string[] {
  const { devices, deviceRequests, blkioDeviceReadBps, blkioDeviceReadIops, blkioWeightDevice } = host.resources;
  const { blkioDeviceWriteBps, blkioDeviceWriteIops } = host.resources;
  const limits = [
    blkioDeviceReadBps,
    blkioDeviceReadIops,
    blkioDeviceWriteBps,
    blkioDeviceWriteIops,
    blkioWeightDevice,
  ];
  const requested = deviceRequests ?? [];
  return [
    ...devices.map(({ pathOnHost }) => `it has the host's device ${pathOnHost}`),
    ...(requested.length > 0 ? ["it has devices that this host was asked for"] : []),
    ...[...new Set(limits.flat().map(({ path }) => path))].map((path) => `it has a limit on the host's device ${path}`),
  ];
}

/** Containers here that can't be without it, and those it can't be without. */
function neighbourObstacles(parts: Parts, record: ContainerRecord): string[] {
  const nameOf = (id: string) => parts.registry.get(id)?.record.name ?? id.slice(0, 12);
  const linked = (record.links ?? []).map(({ containerId }) => `it is linked to container ${nameOf(containerId)}`);
  const linking = parts.registry.linkedBy(record.id).map(({ record: { name } }) => `container ${name} is linked to it`);
  const sharing = parts.registry
    .all()
    .filter(({ record: other }) => modesOf(other).some((mode) => containerOf(mode) === record.id))
    .map(({ record: { name } }) => `container ${name} shares its namespaces`);
  return [...linked, ...linking, ...sharing];
}

const modesOf = ({ spec: { hostConfig: host } }: ContainerRecord): string[] => [
  host.networkMode,
  host.ipcMode,
  host.pidMode,
];
