import type { ImageStoreDefinition } from "@berth/api/images";
import type { Implementation } from "@berth/rpc";
import type { ImageStoreServing } from "../context.ts";
import { noSuchBlob } from "../domain/blobs/blob-store.ts";
import { listImages } from "../domain/list.ts";
import { commitImage, importImage, loadImages, saveImages } from "./archives.ts";
import { readBlobRpc, writeBlob } from "./blobs.ts";
import { decodeFilters, decodePlatform, decodeUses, encodeImage } from "./convert.ts";

/** berth.images.v1.ImageStore: decodes, calls the domain, encodes. */
export function imageStoreService(context: ImageStoreServing): Implementation<typeof ImageStoreDefinition> {
  const { blobs, catalog, content, images, leases, remover, housekeeper, hostId } = context;
  return {
    writeBlob: (requests, { signal }) => writeBlob(context, requests, signal),
    readBlob: (request, { signal }) => readBlobRpc(blobs, hostId, request, signal),

    async statBlob({ digest, verify }) {
      const size = await blobs.size(digest);
      if (size !== undefined) {
        if (verify && !(await blobs.verify(digest))) throw noSuchBlob(digest);
        return { size, complete: true };
      }
      const part = await blobs.partSize(digest);
      if (part === undefined) throw noSuchBlob(digest);
      return { size: part, complete: false };
    },

    createLease: async ({ ttlSeconds }) => ({ lease: await leases.create(ttlSeconds) }),

    async deleteLease({ lease }) {
      await leases.delete(lease);
      return {};
    },

    async putManifest({ mediaType, content: bytes, digest, lease }) {
      return { descriptor: { ...(await content.putManifest(mediaType, bytes, digest, lease)) } };
    },

    async getManifest({ digest }) {
      const { descriptor, content: bytes } = await content.getManifest(digest);
      return { descriptor: { ...descriptor }, content: bytes };
    },

    async getImage({ reference, platform }) {
      return { image: encodeImage(await images.get(reference, decodePlatform(platform))) };
    },

    async listImages({ filters, all, brief }) {
      const found = listImages(catalog, decodeFilters(filters), all);
      const views = found.map(async (image) =>
        images.view(image, brief ? undefined : await content.document(image.id)),
      );
      return { images: (await Promise.all(views)).map(encodeImage) };
    },

    tagImage: ({ source, target, pulledDigest }) => images.tag(source, target, pulledDigest),

    async removeImage({ reference, force, noPrune, inUse }) {
      const removed = await remover.remove(reference, { force, noPrune, inUse: decodeUses(inUse) });
      if (removed.deleted.length > 0) housekeeper.soon();
      return removed;
    },

    loadImages: (requests, { signal }) => loadImages(context, requests, signal),
    saveImages: ({ references }, { signal }) => saveImages(context, references, signal),
    importImage: (requests, { signal }) => importImage(context, requests, signal),
    commitImage: (requests, { signal }) => commitImage(context, requests, signal),

    async notePrune({ reclaimed }) {
      const attributes = { reclaimed: String(reclaimed) };
      await catalog.apply([{ event: { action: "prune", actorId: "", attributes, labels: {} } }]);
      return {};
    },

    collectGarbage: () => housekeeper.now(),
  };
}
