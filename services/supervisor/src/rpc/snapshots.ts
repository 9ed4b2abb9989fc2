import { SnapshotKind, SnapshotterDefinition } from "@berth/api/snapshots";
import { isBerthError } from "@berth/errors";
import type { Clients } from "@berth/rpc";
import type { Snapshots } from "../domain/containers/parts.ts";
import type { Layer } from "../domain/model.ts";

/** Marks our writable layers among the snapshotter's, so that a sweep touches no one else's. */
const owner = { "berth.owner": "supervisor" };
/** Unpacking an image that nobody has used here yet may take minutes. */
const prepareTimeoutMs = 30 * 60_000;

/** The node's snapshotter over gRPC. */
export function remoteSnapshots(clients: Clients, nodeId: string): Snapshots {
  const client = clients.client(SnapshotterDefinition, "snapshotter", { nodeId });
  const chainId = (layers: readonly Layer[]) => layers.at(-1)?.chainId ?? "";
  return {
    async prepare(key, layers, { storageOptions = {}, signal } = {}) {
      const own = { labels: owner, storageOptions: { ...storageOptions } };
      const request = { key, parent: chainId(layers), layers: [...layers], ...own };
      const { mounts, layerDirs } = await client.prepare(request, {
        timeoutMs: prepareTimeoutMs,
        ...(signal && { signal }),
      });
      return { rootfs: mounts, layerDirs };
    },
    async view(key, layers, signal) {
      const request = { key, parent: chainId(layers), layers: [...layers], labels: owner };
      const { mounts, layerDirs } = await client.view(request, {
        timeoutMs: prepareTimeoutMs,
        ...(signal && { signal }),
      });
      return { rootfs: mounts, layerDirs };
    },
    async remove(key) {
      await client.remove({ key }).catch((error: unknown) => {
        if (!isBerthError(error) || error.code !== 5) throw error;
      });
    },
    usage: async (key) => (await client.usage({ key })).fileBytes,
    async sizeOfLayers(layers) {
      const stats = await Promise.all(layers.map((layer) => client.stat({ key: layer.chainId })));
      return stats.reduce((sum, { snapshot }) => sum + (snapshot?.size ?? 0), 0);
    },
    async keys() {
      const found: string[] = [];
      for await (const { key, kind, labels } of client.list({})) {
        if (kind !== SnapshotKind.COMMITTED && labels["berth.owner"] === owner["berth.owner"]) found.push(key);
      }
      return found;
    },
  };
}
