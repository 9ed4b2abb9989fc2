import type { ImageStoreDefinition, WriteBlobRequest, WriteBlobResponse } from "@berth/api/images";
import { BerthError, isBerthError } from "@berth/errors";
import { maxManifestBytes } from "@berth/oci";
import type { Client } from "@berth/rpc";
import type { BlobWriter, ImageSink } from "../domain/sink.ts";

type ImageStore = Client<typeof ImageStoreDefinition>;

/** seconds; renewed by each blob, so it need only outlast the longest one that is still moving */
const leaseTtl = 6 * 3600;
/** bytes under way to the store before the download is asked to wait */
const highWater = 2 * 1024 * 1024;

/** The image store over gRPC. */
export function imageStoreSink(store: ImageStore): ImageSink {
  return {
    async beginLease(signal) {
      const { lease } = await store.createLease({ ttlSeconds: leaseTtl }, { signal });
      return lease;
    },

    async endLease(lease) {
      await store.deleteLease({ lease });
    },

    async blobSize(digest, signal) {
      try {
        const { size, complete } = await store.statBlob({ digest }, { signal });
        return complete ? size : undefined;
      } catch (error) {
        if (isBerthError(error) && error.reason === "NOT_FOUND") return undefined;
        throw error;
      }
    },

    async readDocument(digest, signal) {
      const chunks: Buffer[] = [];
      for await (const { message } of store.readBlob({ digest, length: 0 }, { signal })) {
        if (message?.$case === "info" && message.value.size > maxManifestBytes) {
          throw new BerthError("INVALID_ARGUMENT", `blob ${digest} is too large for a document`);
        }
        if (message?.$case === "data") chunks.push(message.value);
      }
      return Buffer.concat(chunks);
    },

    writeBlob: (start, signal) => GrpcWriter.open(store, start, signal),

    async putManifest(manifest, signal) {
      await store.putManifest(manifest, { signal });
    },

    async tag({ manifest, name, pulledDigest }, signal) {
      const { imageId, changed } = await store.tagImage({ source: manifest, target: name, pulledDigest }, { signal });
      return { imageId, changed };
    },
  };
}

class GrpcWriter implements BlobWriter {
  readonly offset: number;
  readonly #requests: RequestQueue;
  readonly #responses: AsyncIterator<WriteBlobResponse>;
  readonly #abort: AbortController;
  /** The store's last word: the commit's answer, or a failure that may come at any time. */
  readonly #last: Promise<IteratorResult<WriteBlobResponse>>;

  private constructor(
    offset: number,
    requests: RequestQueue,
    responses: AsyncIterator<WriteBlobResponse>,
    abort: AbortController,
  ) {
    this.offset = offset;
    this.#requests = requests;
    this.#responses = responses;
    this.#abort = abort;
    this.#last = responses.next();
    this.#last.catch((error: unknown) => requests.fail(error));
  }

  static async open(
    store: ImageStore,
    start: { digest: string; size: number; lease: string },
    signal: AbortSignal,
  ): Promise<GrpcWriter> {
    const abort = new AbortController();
    const requests = new RequestQueue();
    requests.push({ message: { $case: "start", value: { ...start, upload: "" } } }, 0);
    const call = store.writeBlob(requests, { signal: AbortSignal.any([signal, abort.signal]) });
    const responses = call[Symbol.asyncIterator]();
    try {
      const { value } = (await responses.next()) as { value: WriteBlobResponse | undefined };
      if (value?.message?.$case !== "offset") throw new BerthError("INTERNAL", "the image store did not answer with an offset");
      return new GrpcWriter(value.message.value, requests, responses, abort);
    } catch (error) {
      requests.end();
      abort.abort();
      throw error;
    }
  }

  write(chunk: Buffer): Promise<void> | undefined {
    return this.#requests.push({ message: { $case: "data", value: chunk as Buffer<ArrayBuffer> } }, chunk.length);
  }

  async commit(): Promise<void> {
    void this.#requests.push({ message: { $case: "commit", value: {} } }, 0);
    this.#requests.end();
    const { value } = (await this.#last) as { value: WriteBlobResponse | undefined };
    if (value?.message?.$case !== "committed") throw new BerthError("UNAVAILABLE", "the image store ended the upload early");
    await this.#responses.next();
  }

  async abort(): Promise<void> {
    this.#requests.end();
    this.#abort.abort();
    await this.#last.catch(() => {});
  }
}

/** Requests on their way to gRPC, which takes them as fast as the store does. */
class RequestQueue implements AsyncIterable<WriteBlobRequest> {
  #queue: { request: WriteBlobRequest; size: number }[] = [];
  #bytes = 0;
  #ended = false;
  #failure: { error: unknown } | undefined;
  #filled: () => void = () => {};
  #room: PromiseWithResolvers<void> | undefined;

  /** @returns a promise when the caller should wait */
  push(request: WriteBlobRequest, size: number): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    this.#queue.push({ request, size });
    this.#bytes += size;
    this.#filled();
    if (this.#bytes < highWater) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  end(): void {
    this.#ended = true;
    this.#filled();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#room?.promise.catch(() => {});
    this.#room?.reject(error);
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WriteBlobRequest> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) {
        this.#bytes -= next.size;
        if (this.#bytes < highWater) {
          this.#room?.resolve();
          this.#room = undefined;
        }
        yield next.request;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#filled = resolve;
        });
      }
    }
  }
}
