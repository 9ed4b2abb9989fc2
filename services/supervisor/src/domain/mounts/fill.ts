import { errorMessage } from "@berth/errors";
import { copyUp, existsInLayers, isNativeError, syncfs } from "@berth/isolation";
import type { Parts } from "../containers/parts.ts";
import { failed } from "../errors.ts";
import type { MountPoint } from "../model.ts";
import { localDriver } from "../volumes/local-driver.ts";
import { mountSource } from "../volumes/options.ts";
import { prefixed } from "../volumes/volumes.ts";

/**
 * Fills a container's new, empty volumes with what its image has where they are mounted. `layerDirs` as the snapshotter gives them, top first.
 * @throws INTERNAL with Docker's texts
 */
export async function fillVolumes(
  parts: Parts,
  points: Iterable<MountPoint>,
  layerDirs: readonly string[],
): Promise<void> {
  // The container's own layer alone: its image has nothing.
  if (layerDirs.length < 2) return;
  for (const point of points) {
    if (point.type === "volume" && !point.noCopy) await fill(parts, point, layerDirs);
  }
}

async function fill(parts: Parts, point: MountPoint, lower: readonly string[]): Promise<void> {
  const { name, driver, destination, mountId } = point;
  const prefix = (error: unknown) => prefixed("failed to populate volume", error);
  // Covered in a mount namespace of the copy alone.
  const image = { lower, scratch: parts.paths.bundles, source: destination };
  // What must be mounted first is not mounted for nothing: it may fail.
  if (!isDirectory(parts, point) && !(await existsInLayers(image))) return;
  const target = await parts.volumes.mount(name, mountId).catch((error: unknown) => {
    throw prefix(error);
  });
  try {
    const outcome = await copyUp({ ...image, target, subpath: point.subpath });
    // What the record will stand for must be on the disk before it.
    if (outcome === "copied") await syncfs(target);
  } catch (error) {
    if (isNativeError(error)) {
      // A subpath that is not there is said at the start.
      if (point.subpath !== "" && error.code === "ENOENT") return;
      if (error.code === "ENOTDIR" && error.syscall === "copy") throw failed(overFile(point));
    }
    throw prefix(failed(errorMessage(error)));
  } finally {
    await parts.volumes.unmount(name, driver, mountId);
  }
}

/** Docker has two ways to say it, by who asked for the volume: the image (or -v /path), or somebody who named it. */
const overFile = ({ anonymous, mode, destination }: MountPoint): string =>
  anonymous && mode === ""
    ? `cannot mount volume over existing file, file exists ${destination}`
    : `source ${destination} is not directory`;

/** A volume that is a directory of this host, and nothing else. */
function isDirectory({ volumes }: Parts, { name, driver }: MountPoint): boolean {
  return driver === localDriver && mountSource(volumes.record(name)?.options ?? null) === undefined;
}
