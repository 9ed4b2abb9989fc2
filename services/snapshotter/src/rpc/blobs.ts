import type { ImageStoreDefinition, ReadBlobResponse } from "@berth/api/images";
import { BerthError } from "@berth/errors";
import type { Client } from "@berth/rpc";
import type { BlobPart, BlobSource } from "../domain/blobs.ts";

/** The image store's blobs: a path where it shares our host, bytes over gRPC where not. */
export function imageStoreBlobs(client: Client<typeof ImageStoreDefinition>, hostId: string): BlobSource {
  return {
    async *read(digest, signal) {
      for await (const response of client.readBlob(
        { digest, offset: 0, length: 0, follow: true, hostId },
        { signal },
      )) {
        const part = decodePart(response);
        if (part !== undefined) yield part;
      }
    },
  };
}

function decodePart({ message }: ReadBlobResponse): BlobPart | undefined {
  switch (message?.$case) {
    case "info":
      // Without a path the data that follows says it all.
      return message.value.path === ""
        ? undefined
        : { kind: "path", path: message.value.path, complete: message.value.complete };
    case "available":
      return { kind: "available", size: message.value };
    case "data":
      return { kind: "data", data: message.value };
    default:
      throw new BerthError("INTERNAL", "the image store sent an empty message");
  }
}
