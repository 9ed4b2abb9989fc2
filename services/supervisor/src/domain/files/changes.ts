import { BerthError } from "@berth/errors";
import { isNativeError, type LayerChange, layerChanges } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { engineMountPoints } from "./view.ts";

/** What the container changed in its image's files; what the engine itself made there is not told. @throws RESOURCE_EXHAUSTED */
export async function changesOf({ record }: Container): Promise<LayerChange[]> {
  const [upper, ...lower] = record.layerDirs;
  if (upper === undefined) return [];
  try {
    return await layerChanges({ upper, lower, ignored: engineMountPoints });
  } catch (error) {
    if (!isNativeError(error) || error.code !== "E2BIG") throw error;
    throw new BerthError("RESOURCE_EXHAUSTED", `container ${record.id} has more changes than can be listed`);
  }
}
