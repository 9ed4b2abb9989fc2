import { lstat, realpath } from "node:fs/promises";
import { join } from "node:path";
import { isNativeError, makeDirectory } from "@berth/isolation";
import { invalid } from "../errors.ts";
import type { RootfsMount } from "../model.ts";

interface WorkdirPlace {
  /** Absolute, as the container's processes will see it; empty: none was asked for. */
  workingDir: string;
  rootfs: readonly RootfsMount[];
  /** The directories it is made of, top first. */
  layerDirs: readonly string[];
  /** An empty directory to mount on. */
  at: string;
}

/**
 * Makes a new container's working directory where its image has none, so that files can be copied there before it runs.
 * @throws INVALID_ARGUMENT when something else stands in its place
 */
export async function makeWorkdir({ workingDir, rootfs, layerDirs, at }: WorkdirPlace): Promise<void> {
  if (workingDir === "" || workingDir === "/" || (await isInLayer(layerDirs, workingDir))) return;
  try {
    await makeDirectory({ kind: "mounts", rootfs: [...rootfs], binds: [], at, throwaway: false }, workingDir);
  } catch (error) {
    if (isNativeError(error) && error.code === "ENOTDIR")
      throw invalid(`Cannot mkdir: ${workingDir} is not a directory`);
    throw error;
  }
}

/**
 * Whether one of the layers holds it, links aside: the common case, which needs no mount. A layer above may have taken it
 * away again; then the first start makes it.
 */
async function isInLayer(layerDirs: readonly string[], path: string): Promise<boolean> {
  const found = await Promise.all(
    layerDirs.map(async (layer) => {
      const inside = join(layer, path);
      // realpath is asked for plain directories alone: a link in an image may lead anywhere, also to the host's.
      const status = await lstat(inside).catch(() => undefined);
      return status?.isDirectory() === true && (await realpath(inside)) === inside;
    }),
  );
  return found.some(Boolean);
}
