import type { Volume } from "../rpc/types.ts";

/** Engine API, "Volume": fields in Docker's order. */
export function volumeJson(volume: Volume): Record<string, unknown> {
  return {
    CreatedAt: volume.createdAt || "0001-01-01T00:00:00Z",
    Driver: volume.driver,
    Labels: volume.labels?.values ?? null,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: volume.options?.values ?? null,
    Scope: volume.scope,
    ...(volume.status === "" ? {} : { Status: JSON.parse(volume.status) as unknown }),
    ...(volume.usage === undefined ? {} : { UsageData: { RefCount: volume.usage.refCount, Size: volume.usage.size } }),
  };
}
