import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createServiceContext, type ServiceContext } from "@berth/rpc";
import { openStore } from "@berth/store";
import type { SnapshotterConfig } from "./config.ts";
import { dieAt } from "./domain/fault.ts";
import { OverlaySnapshotter } from "./domain/overlay.ts";
import { followImages } from "./follow.ts";
import { imageStoreBlobs } from "./rpc/blobs.ts";
import { ImageStoreDefinition, imageStoreLayers } from "./rpc/images.ts";
import { levelRecords } from "./store/records.ts";

export interface SnapshotterContext extends ServiceContext {
  snapshotter: OverlaySnapshotter;
  close(): Promise<void>;
}

export async function createContext(config: SnapshotterConfig, signal: AbortSignal): Promise<SnapshotterContext> {
  const service = await createServiceContext(config, signal);
  const snapshotter = await OverlaySnapshotter.open({
    base: join(config.stateDir, "snapshots"),
    records: levelRecords(await openStore(join(config.stateDir, "records"))),
    blobs: imageStoreBlobs(service.clients.client(ImageStoreDefinition, "image-store"), config.hostId),
    named: imageStoreLayers(service.bus, service.clients, config.site),
    graceMs: config.layerGrace,
    bootId: (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim(),
    parallel: config.parallel,
    maxLayerBytes: config.maxLayerBytes,
    fault: dieAt(config.faultPoint),
    onError: (error) => service.log.error({ err: error }, "work in the background failed"),
  });
  const ending = new AbortController();
  const following = followImages(
    service.bus,
    () => snapshotter.imagesChanged(),
    AbortSignal.any([signal, ending.signal]),
  ).catch((error: unknown) => service.log.error({ err: error }, "image events are not followed any more"));
  return {
    ...service,
    snapshotter,
    async close() {
      ending.abort();
      await following;
      await snapshotter.close();
    },
  };
}
