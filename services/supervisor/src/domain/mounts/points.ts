import { BerthError } from "@berth/errors";
import type { Parts } from "../containers/parts.ts";
import { invalid, noSuchContainer } from "../errors.ts";
import { newId } from "../ids.ts";
import type { ContainerSpec, MountPoint } from "../model.ts";
import { refuseMoving } from "../moves/guard.ts";
import { localDriver } from "../volumes/local-driver.ts";
import { anonymousVolume, checkVolumesFrom, type MountRequest } from "./requests.ts";
import { propagationOf } from "./sources.ts";

/** Mounts of other containers, by destination; a later --volumes-from wins. @throws INVALID_ARGUMENT */
function inherited(parts: Parts, volumesFrom: readonly string[]): Map<string, MountPoint> {
  const points = new Map<string, MountPoint>();
  for (const text of volumesFrom) {
    const { container, readOnly } = checkVolumesFrom(text);
    const source = findDonor(parts, container);
    refuseMoving(source.record);
    for (const point of source.record.mounts) {
      points.set(point.destination, {
        ...point,
        rw: point.rw && !readOnly,
        mode: "",
        noCopy: true,
        createSource: false,
        mountId: point.type === "volume" ? newId() : "",
      });
    }
  }
  return points;
}

function findDonor(parts: Parts, container: string) {
  try {
    return parts.registry.find(container);
  } catch {
    throw invalid(noSuchContainer(container).message);
  }
}

/**
 * All mounts of a container to be, in Docker's order of precedence: other containers', the user's, the image's volumes. Makes the volumes
 * and image views that they need; who calls this gives them back (see releasePoints) if the container comes to nothing: `points` is filled
 * as it goes.
 */
export async function makePoints(
  parts: Parts,
  id: string,
  { config, hostConfig: host }: ContainerSpec,
  requests: readonly MountRequest[],
  points: Map<string, MountPoint>,
): Promise<void> {
  for (const [destination, point] of inherited(parts, host.volumesFrom)) {
    if (point.type === "volume") parts.volumes.hold(point.name, id);
    points.set(destination, point.view === undefined ? point : await viewAgain(parts, id, point, points.size));
  }
  for (const request of requests) await put(parts, id, points, await pointOf(parts, id, request, points.size));
  for (const volume of config.volumes) {
    const request = anonymousVolume(volume, host.volumeDriver);
    if (points.has(request.destination) || Object.hasOwn(host.tmpfs, request.destination)) continue;
    await put(parts, id, points, await pointOf(parts, id, request, points.size));
  }
}

/** What is mounted in another's place takes it over. */
async function put(parts: Parts, id: string, points: Map<string, MountPoint>, point: MountPoint): Promise<void> {
  const before = points.get(point.destination);
  points.set(point.destination, point);
  if (before === undefined) return;
  const isStillUsed = [...points.values()].some(({ type, name }) => type === "volume" && name === before.name);
  if (before.type === "volume" && !isStillUsed) parts.volumes.letGo(before.name, id);
  if (before.view !== undefined) await parts.snapshots.remove(before.view.key);
}

async function pointOf(parts: Parts, id: string, request: MountRequest, index: number): Promise<MountPoint> {
  const { kind, source, destination, mode, readOnly } = request;
  const point: MountPoint = {
    type: kind,
    name: "",
    source,
    destination,
    driver: "",
    mode,
    rw: !readOnly,
    propagation: "",
    anonymous: false,
    recursive: request.recursive,
    readOnlyRecursion: request.readOnlyRecursion,
    createSource: request.createSource,
    subpath: request.subpath,
    noCopy: request.noCopy,
    tmpfsOptions: request.tmpfsOptions,
    mountId: "",
    view: undefined,
  };
  if (kind === "bind") return { ...point, propagation: propagationOf(request, parts.paths.stateDir) };
  if (kind === "volume") return { ...point, ...(await volumeOf(parts, id, request)) };
  if (kind === "image") return { ...point, ...(await imageOf(parts, id, request, index)) };
  return point;
}

async function volumeOf(parts: Parts, id: string, request: MountRequest): Promise<Partial<MountPoint>> {
  const { source: name, driver, driverOptions: options, labels, mode } = request;
  const anonymous = name === "";
  const wanted = anonymous && driver === "" ? localDriver : driver;
  const { record, mountpoint } = await parts.volumes.create({ name, driver: wanted, options, labels }, id);
  // Docker shows the label that it would put on the data; of an image's volumes it does not.
  const shownMode = record.driver === localDriver && mode === "" && !request.fromConfig ? "z" : mode;
  return { name: record.name, driver: record.driver, source: mountpoint, anonymous, mode: shownMode, mountId: newId() };
}

async function imageOf(parts: Parts, id: string, request: MountRequest, index: number): Promise<Partial<MountPoint>> {
  const { source, image } = request;
  if (image === undefined || image.layers.length === 0) {
    throw new BerthError("INVALID_ARGUMENT", `image ${source} has no layers to mount`);
  }
  const key = `${id}-image-${index}`;
  const { rootfs, layerDirs } = await parts.snapshots.view(key, image.layers);
  const [mount] = rootfs;
  if (mount === undefined) throw new BerthError("INTERNAL", `no mount for image ${source}`);
  const view = { key, imageId: image.id, layers: [...image.layers], mount };
  return { name: source, source: layerDirs[0] ?? "", propagation: "rprivate", rw: false, view };
}

/** Another container's image mount, with a view of one's own that outlives the other's. */
async function viewAgain(parts: Parts, id: string, point: MountPoint, index: number): Promise<MountPoint> {
  const { view } = point;
  if (view === undefined) return point;
  const key = `${id}-image-${index}`;
  const { rootfs } = await parts.snapshots.view(key, view.layers);
  return { ...point, view: { ...view, key, mount: rootfs[0] ?? view.mount } };
}

/** Gives back what mounts hold: image views, and volumes' uses; with `volumes` the anonymous ones that nobody else uses go. */
export async function releasePoints(
  parts: Parts,
  id: string,
  points: Iterable<MountPoint>,
  volumes: boolean,
): Promise<void> {
  for (const { type, name, anonymous, view } of points) {
    if (view !== undefined) await parts.snapshots.remove(view.key);
    if (type !== "volume") continue;
    parts.volumes.letGo(name, id);
    if (volumes && anonymous && parts.volumes.users(name).length === 0) await parts.volumes.remove(name, true);
  }
}
