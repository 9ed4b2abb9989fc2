import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type EventRecord, nowNano } from "@berth/bus";
import { createServiceContext, type ServiceContext } from "@berth/rpc";
import { openStore } from "@berth/store";
import type { ImageStoreConfig } from "./config.ts";
import { BlobStore } from "./domain/blobs/blob-store.ts";
import { Catalog } from "./domain/catalog.ts";
import { Content } from "./domain/content.ts";
import { dieAt } from "./domain/fault.ts";
import { Collector } from "./domain/garbage.ts";
import { Housekeeper } from "./domain/housekeeper.ts";
import { Images } from "./domain/images.ts";
import { Leases } from "./domain/leases.ts";
import { Gate, Mutex } from "./domain/locks.ts";
import { Receiver } from "./domain/receive.ts";
import type { ImageEvent, Records } from "./domain/records.ts";
import { Remover } from "./domain/remove.ts";
import { LocalUploads } from "./rpc/local-uploads.ts";
import { levelRecords } from "./store/records.ts";

/** The parts of the domain, wired over one directory. */
export interface ImageStoreParts {
  blobs: BlobStore;
  catalog: Catalog;
  content: Content;
  images: Images;
  leases: Leases;
  receiver: Receiver;
  remover: Remover;
  housekeeper: Housekeeper;
}

/** What the calls need. */
export interface ImageStoreServing extends ImageStoreParts {
  hostId: string;
  localUploads: LocalUploads;
}

export interface ImageStoreContext extends ServiceContext, ImageStoreServing {
  close(): Promise<void>;
}

export async function createContext(config: ImageStoreConfig, signal: AbortSignal): Promise<ImageStoreContext> {
  const service = await createServiceContext(config, signal);
  const store = await openStore(join(config.stateDir, "records"));
  const outbox = service.bus.outbox(store);
  const records = levelRecords(store, (event) => outbox.op(toRecord(event, config.nodeId)));
  const parts = await openParts(config.stateDir, records, config.faultPoint, (error) =>
    service.log.error({ err: error }, "collecting garbage failed"),
  );
  const localUploads = await LocalUploads.open(join(config.runDir, "image-store.uploads.sock"));
  return {
    ...service,
    ...parts,
    hostId: config.hostId,
    localUploads,
    async close() {
      await localUploads.close();
      await parts.housekeeper.close();
      await outbox.close();
      await store.close();
    },
  };
}

/** Opens the domain's parts; tests use it without a bus. */
export async function openParts(
  dir: string,
  records: Records,
  faultPoint?: string,
  onError: (error: unknown) => void = () => {},
): Promise<ImageStoreParts> {
  const fault = dieAt(faultPoint);
  const gate = new Gate();
  const changing = new Mutex();
  const blobs = await BlobStore.open(dir, fault);
  const catalog = await Catalog.open(records);
  const leases = await Leases.open(records);
  const content = new Content({ blobs, catalog, leases, gate, fault });
  const images = new Images({ catalog, content, leases, gate, changing, fault });
  const receiver = new Receiver(blobs, leases, gate);
  const collector = new Collector({ blobs, catalog, content, leases, gate, fault });
  const remover = new Remover({ catalog, changing, fault });
  const housekeeper = new Housekeeper(collector, onError);
  return { blobs, catalog, content, images, leases, receiver, remover, housekeeper };
}

function toRecord(event: ImageEvent, nodeId: string): EventRecord {
  const { action, actorId, labels } = event;
  const attributes = { ...labels, ...("name" in event ? { name: event.name } : event.attributes) };
  const id = randomUUID();
  return { id, type: "image", action, actorId, attributes, timeNano: nowNano().toString(), nodeId, scope: "local" };
}
