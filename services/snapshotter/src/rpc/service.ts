import type { SnapshotterDefinition } from "@berth/api/snapshots";
import type { Implementation } from "@berth/rpc";
import type { Snapshotter } from "../domain/snapshotter.ts";
import { decodeLayer, encodePlan, encodeProgress, encodeSnapshot } from "./convert.ts";

/** berth.snapshots.v1.Snapshotter: decodes, calls the domain, encodes. */
export function snapshotterService(snapshotter: Snapshotter): Implementation<typeof SnapshotterDefinition> {
  return {
    prepare: async ({ key, parent, layers, labels, storageOptions }, { signal }) =>
      encodePlan(
        await snapshotter.prepare(key, parent, { layers: layers.map(decodeLayer), labels, storageOptions, signal }),
      ),

    view: async ({ key, parent, layers, labels }, { signal }) =>
      encodePlan(await snapshotter.view(key, parent, { layers: layers.map(decodeLayer), labels, signal })),

    mounts: async ({ key }) => encodePlan(await snapshotter.mounts(key)),

    async commit({ key, name }) {
      await snapshotter.commit(key, name);
      return {};
    },

    async remove({ key }) {
      await snapshotter.remove(key);
      return {};
    },

    stat: async ({ key }) => ({ snapshot: encodeSnapshot(await snapshotter.stat(key)) }),

    async *list() {
      for await (const info of snapshotter.list()) yield encodeSnapshot(info);
    },

    usage: ({ key }) => snapshotter.usage(key),

    async *diff({ key }, { signal }) {
      for await (const data of snapshotter.diff(key, signal)) yield { data };
    },

    async *unpack({ layers }, { signal }) {
      for await (const progress of snapshotter.unpack(layers.map(decodeLayer), signal)) yield encodeProgress(progress);
    },
  };
}
