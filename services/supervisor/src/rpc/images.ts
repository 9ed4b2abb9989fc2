import { ImageStoreDefinition } from "@berth/api/images";
import { type Clients, markEnd } from "@berth/rpc";
import type { CommitTarget } from "../domain/files/commit.ts";

/** The site's image store over gRPC. */
export function remoteImages(clients: Clients): CommitTarget {
  const client = clients.client(ImageStoreDefinition, "image-store");
  return {
    async commit(image, layer, signal) {
      async function* requests() {
        yield { message: { $case: "start" as const, value: image } };
        for await (const value of markEnd(layer)) yield { message: { $case: "data" as const, value } };
      }
      const { imageId } = await client.commitImage(requests(), { signal, timeoutMs: Number.POSITIVE_INFINITY });
      return imageId;
    },
  };
}
