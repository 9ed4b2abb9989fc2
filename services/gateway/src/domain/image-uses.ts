import type { ImageUse } from "../rpc/types.ts";
import { ContainerStatus } from "../rpc/types.ts";
import type { Containers } from "./containers.ts";

const underWay: readonly number[] = [ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.RESTARTING];

/** Which images containers use. Without a supervisor nobody knows, so nothing may be removed. @throws UNAVAILABLE */
export async function imageUses(containers: Containers, signal: AbortSignal): Promise<ImageUse[]> {
  const found = await containers.list({ all: true }, signal, true);
  return found.flatMap(({ id: containerId, imageId: own, mountedImageIds, state }) => {
    const running = underWay.includes(state?.status ?? ContainerStatus.UNSPECIFIED);
    // Its own, and those that it mounts.
    return [own, ...mountedImageIds].map((imageId) => ({ imageId, containerId, running }));
  });
}
