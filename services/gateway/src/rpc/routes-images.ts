import { RemoveImageRequest } from "@berth/api/images";
import { encodeMessage } from "@berth/rpc";
import type { Containers } from "../domain/containers.ts";
import { imageUses } from "../domain/image-uses.ts";
import type { Images } from "../domain/images.ts";
import type { Passed, Refused, Routes } from "./proxy.ts";
import { withoutHost } from "./routes-containers.ts";
import type { ImageStoreDefinition, RegistryProxyDefinition } from "./types.ts";

/** The site's images: berth.images.v1.ImageStore, without what puts content into the store piece by piece. */
export function imageRoutes(images: Images, containers: Containers): Routes<typeof ImageStoreDefinition> {
  const store: Passed = { to: () => undefined };
  const change: Passed = { ...store, answered: () => images.invalidate() };
  return {
    writeBlob: content,
    readBlob: { ...store, change: withoutHost(5) },
    statBlob: store,
    createLease: content,
    deleteLease: content,
    putManifest: content,
    getManifest: store,
    getImage: store,
    listImages: store,
    tagImage: change,
    removeImage: {
      ...change,
      // The store refuses to remove what is in use, and the nodes know what is.
      async change(request, signal) {
        const inUse = await imageUses(containers, signal);
        return Buffer.concat([request, encodeMessage(RemoveImageRequest, RemoveImageRequest.fromPartial({ inUse }))]);
      },
    },
    loadImages: store,
    saveImages: store,
    importImage: change,
    notePrune: { refused: "it is for whoever has pruned images, which a gateway does itself" },
    commitImage: { refused: "it is for the node that has the container; call berth.containers.v1.Supervisor.Commit" },
    collectGarbage: { refused: "the image store does it by itself" },
  };
}

const content: Refused = {
  refused: "content is put into the store by the engine's own services; call LoadImages, ImportImage or Pull",
};

/** Registries: berth.registry.v1.RegistryProxy. */
export function registryRoutes(): Routes<typeof RegistryProxyDefinition> {
  const proxy: Passed = { to: () => undefined };
  return {
    pull: proxy,
    resolve: proxy,
    login: proxy,
    search: proxy,
    fetch: proxy,
  };
}
