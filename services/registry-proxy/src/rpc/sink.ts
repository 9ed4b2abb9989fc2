import { connect, type NetConnectOpts, type Socket } from "node:net";
import {
  ImageStoreDefinition,
  type WriteBlobRequest,
  type WriteBlobRequest_Start,
  type WriteBlobResponse,
  type WriteBlobResponse_Local,
} from "@berth/api/images";
import { BerthError, isBerthError } from "@berth/errors";
import { maxManifestBytes } from "@berth/oci";
import type { Client, Clients } from "@berth/rpc";
import type { BlobWriter, ImageSink } from "../domain/sink.ts";

type ImageStore = Client<typeof ImageStoreDefinition>;
type LocalStream = NonNullable<WriteBlobResponse_Local["stream"]>;

/** seconds; renewed by each blob, so it need only outlast the longest one that is still moving */
const leaseTtl = 6 * 3600;
/** ms that the store's call may end later than its socket */
const lastWord = 1000;
/** bytes under way to the store before the download is asked to wait */
const highWater = 2 * 1024 * 1024;

/** The image store over gRPC. */
export function imageStoreSink(clients: Clients, hostId: string): ImageSink {
  const store = clients.client(ImageStoreDefinition, "image-store");
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

    writeBlob: (start, signal) => openWriter(store, { ...start, upload: "", hostId }, signal),

    async putManifest(manifest, signal) {
      await store.putManifest(manifest, { signal });
    },

    async tag({ manifest, name, pulledDigest }, signal) {
      const { imageId, changed } = await store.tagImage({ source: manifest, target: name, pulledDigest }, { signal });
      return { imageId, changed };
    },
  };
}

/** Bytes go by gRPC, or by a socket of the store's where it offers one (to callers on its host: it costs much less). */
async function openWriter(store: ImageStore, start: WriteBlobRequest_Start, signal: AbortSignal): Promise<BlobWriter> {
  const call = await UploadCall.open(store, start, signal);
  if (call.stream === undefined) return new GrpcWriter(call);
  try {
    return new SocketWriter(call, await connectStream(call.stream, signal));
  } catch (error) {
    await call.abort();
    throw error;
  }
}

/** The WriteBlob call that every upload has, however its bytes go. */
class UploadCall {
  readonly offset: number;
  readonly stream: LocalStream | undefined;
  readonly requests: RequestQueue;
  /** The store's last word: the commit's answer, or a failure that may come at any time. */
  readonly last: Promise<IteratorResult<WriteBlobResponse>>;
  readonly #responses: AsyncIterator<WriteBlobResponse>;
  readonly #abort: AbortController;

  private constructor(
    first: { offset: number; stream: LocalStream | undefined },
    requests: RequestQueue,
    responses: AsyncIterator<WriteBlobResponse>,
    abort: AbortController,
  ) {
    this.offset = first.offset;
    this.stream = first.stream;
    this.requests = requests;
    this.#responses = responses;
    this.#abort = abort;
    this.last = responses.next();
    this.last.catch((error: unknown) => requests.fail(error));
  }

  static async open(store: ImageStore, start: WriteBlobRequest_Start, signal: AbortSignal): Promise<UploadCall> {
    const abort = new AbortController();
    const requests = new RequestQueue();
    void requests.push({ message: { $case: "start", value: start } }, 0);
    const call = store.writeBlob(requests, { signal: AbortSignal.any([signal, abort.signal]) });
    const responses = call[Symbol.asyncIterator]();
    try {
      const { value } = (await responses.next()) as { value: WriteBlobResponse | undefined };
      const first = value?.message;
      if (first?.$case === "offset")
        return new UploadCall({ offset: first.value, stream: undefined }, requests, responses, abort);
      if (first?.$case === "local") {
        const { offset, stream } = first.value;
        return new UploadCall({ offset, stream }, requests, responses, abort);
      }
      throw new BerthError("INTERNAL", "the image store did not say where to go on from");
    } catch (error) {
      requests.end();
      abort.abort();
      throw error;
    }
  }

  async commit(): Promise<void> {
    void this.requests.push({ message: { $case: "commit", value: {} } }, 0);
    this.requests.end();
    const { value } = (await this.last) as { value: WriteBlobResponse | undefined };
    if (value?.message?.$case !== "committed")
      throw new BerthError("UNAVAILABLE", "the image store ended the upload early");
    await this.#responses.next();
  }

  async abort(): Promise<void> {
    this.requests.end();
    this.#abort.abort();
    await this.last.catch(() => {});
  }
}

class GrpcWriter implements BlobWriter {
  readonly offset: number;
  /** Every message costs about the same, up to what HTTP/2 lets through without a pause. */
  readonly chunkSize = 256 * 1024;
  readonly #call: UploadCall;

  constructor(call: UploadCall) {
    this.#call = call;
    this.offset = call.offset;
  }

  write(chunk: Buffer): Promise<void> | undefined {
    return this.#call.requests.push({ message: { $case: "data", value: chunk as Buffer<ArrayBuffer> } }, chunk.length);
  }

  commit(): Promise<void> {
    return this.#call.commit();
  }

  abort(): Promise<void> {
    return this.#call.abort();
  }
}

class SocketWriter implements BlobWriter {
  readonly offset: number;
  readonly chunkSize = 0;
  readonly #call: UploadCall;
  readonly #socket: Socket;
  #room: PromiseWithResolvers<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(call: UploadCall, socket: Socket) {
    this.#call = call;
    this.#socket = socket;
    this.offset = call.offset;
    socket.on("drain", () => {
      this.#room?.resolve();
      this.#room = undefined;
    });
    socket.on("error", () => {});
    // The call knows best why the store hung up, and says so at about the same time.
    socket.once("close", () => {
      const lost = new BerthError("UNAVAILABLE", "the image store ended the upload early");
      setTimeout(() => this.#fail(lost), lastWord).unref();
    });
    call.last.catch((error: unknown) => this.#fail(error));
  }

  write(chunk: Buffer): Promise<void> | undefined {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (this.#socket.write(chunk, () => release(chunk))) return undefined;
    this.#room ??= Promise.withResolvers();
    return this.#room.promise;
  }

  async commit(): Promise<void> {
    this.#socket.end();
    await this.#call.commit();
  }

  async abort(): Promise<void> {
    this.#socket.destroy();
    await this.#call.abort();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#room?.promise.catch(() => {});
    this.#room?.reject(error);
    this.#room = undefined;
    this.#socket.destroy();
  }
}

/**
 * Frees a written buffer's memory now: left to the collector, a large pull's buffers bring on a full collection every
 * 20 MB. Only where the buffer is all of its memory, so that nobody else has a part of it.
 */
function release(buffer: Buffer): void {
  const memory = buffer.buffer;
  if (memory instanceof ArrayBuffer && memory.byteLength === buffer.byteLength && buffer.byteLength > 4096)
    memory.transfer(0);
}

/** Connects to a stream that a service offers to callers on its host (berth.types.v1.LocalStream). */
function connectStream({ socket: path, request }: LocalStream, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, writableHighWaterMark: highWater } as NetConnectOpts);
    const fail = (error: Error): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      reject(error);
    };
    const abort = (): void => fail(signal.reason as Error);
    const refuse = (): void => fail(new BerthError("UNAVAILABLE", "the image store does not take the upload"));
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", refuse).once("close", refuse);
    socket.once("data", (line: Buffer) => {
      if (!line.toString("utf8").startsWith('{"ok":true')) return refuse();
      signal.removeEventListener("abort", abort);
      socket.off("error", refuse).off("close", refuse);
      // Read on, though nothing more comes: only so the end is noticed.
      socket.resume();
      resolve(socket);
    });
    socket.write(request);
  });
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
