import type { Volume } from "../rpc/types.ts";

/** As Go prints maps: in the order of their keys. */
function sorted(map: { values: Record<string, string> } | undefined): Record<string, string> | null {
  if (map === undefined) return null;
  return Object.fromEntries(Object.entries(map.values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Engine API, "Volume": fields in Docker's order. */
export function volumeJson(volume: Volume): Record<string, unknown> {
  return {
    CreatedAt: volume.createdAt || "0001-01-01T00:00:00Z",
    Driver: volume.driver,
    Labels: sorted(volume.labels),
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: sorted(volume.options),
    Scope: volume.scope,
    ...(volume.status === "" ? {} : { Status: JSON.parse(volume.status) as unknown }),
    ...(volume.usage === undefined ? {} : { UsageData: { RefCount: volume.usage.refCount, Size: volume.usage.size } }),
  };
}
