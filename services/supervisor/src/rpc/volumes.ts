import type { DeepPartial, Volume, VolumesDefinition } from "@berth/api/volumes";
import type { Implementation } from "@berth/rpc";
import type { Parts } from "../domain/containers/parts.ts";
import { type ListedVolume, listVolumes, pruneVolumes, usageOfVolumes } from "../domain/volumes/listing.ts";

/** The volumes of this node. */
export function volumeCalls({ volumes, nodeId }: Parts): Implementation<typeof VolumesDefinition> {
  const encode = (view: ListedVolume) => encodeVolume(view, nodeId);
  return {
    async create({ name, driver, options, labels }) {
      const request = { name, driver, options: options?.values ?? null, labels: labels?.values ?? null };
      return { volume: encode(await volumes.create(request)) };
    },
    async inspect({ name }) {
      return { volume: encode(await volumes.inspect(name)) };
    },
    async list({ filters, usage }) {
      if (usage) return { volumes: (await usageOfVolumes(volumes)).map(encode), warnings: [] };
      const found = await listVolumes(volumes, valuesOf(filters));
      return { volumes: found.volumes.map(encode), warnings: found.warnings };
    },
    async remove({ name, force }) {
      await volumes.remove(name, force);
      return {};
    },
    prune({ filters }, { signal }) {
      return pruneVolumes(volumes, valuesOf(filters), signal);
    },
  };
}

const valuesOf = (filters: Record<string, { values: string[] }>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(filters).map(([key, { values }]) => [key, values]));

function encodeVolume(view: ListedVolume, nodeId: string): DeepPartial<Volume> {
  const { record, mountpoint, scope, status, usage } = view;
  return {
    name: record.name,
    driver: record.driver,
    mountpoint,
    createdAt: record.created,
    ...(record.labels && { labels: { values: record.labels } }),
    ...(record.options && { options: { values: record.options } }),
    scope,
    ...(status && { status: JSON.stringify(status) }),
    ...(usage && { usage }),
    nodeId,
  };
}
