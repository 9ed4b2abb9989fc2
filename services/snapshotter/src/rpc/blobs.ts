import { type FileHandle, open } from "node:fs/promises";
import type { ImageStoreDefinition, ReadBlobResponse } from "@berth/api/images";
import { BerthError } from "@berth/errors";
import type { Client } from "@berth/rpc";
import type { BlobPart, BlobSource } from "../domain/blobs.ts";

type Store = Client<typeof ImageStoreDefinition>;

/** The image store's blobs: a path where it shares our host, bytes over gRPC where not. */
export function imageStoreBlobs(client: Store, hostId: string): BlobSource {
  return {
    async *read(digest, signal) {
      // The name of a growing blob goes with the last call that follows it, and a call may end before its caller has opened the
      // file. Then the blob is whole, and asked again the store tells the lasting name.
      if (yield* readOnce(client, hostId, digest, signal)) return;
      if (yield* readOnce(client, hostId, digest, signal)) return;
      throw new BerthError("UNAVAILABLE", `the file of blob ${digest} is gone`);
    },
  };
}

/** Gives false when the blob's file had gone before it could be opened. */
async function* readOnce(
  client: Store,
  hostId: string,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<BlobPart, boolean> {
  const request = { digest, offset: 0, length: 0, follow: true, hostId };
  for await (const response of client.readBlob(request, { signal })) {
    const part = decodePart(response);
    if (part?.kind === "path") {
      const file = await openIfThere(part.path);
      if (file === undefined) return false;
      // Ours stays open until the caller, who opens it before taking the next part, has opened its own.
      try {
        yield { ...part, path: `/proc/self/fd/${file.fd}` };
      } finally {
        await file.close();
      }
    } else if (part !== undefined) yield part;
  }
  return true;
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
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
