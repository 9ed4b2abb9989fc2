import type {
  DeepPartial,
  ReadBlobRequest,
  ReadBlobResponse,
  WriteBlobRequest,
  WriteBlobRequest_Start,
  WriteBlobResponse,
} from "@berth/api/images";
import { BerthError, isBerthError } from "@berth/errors";
import type { BlobStore } from "../domain/blobs/blob-store.ts";
import { type ReadPart, readBlob } from "../domain/blobs/read.ts";
import type { Upload } from "../domain/blobs/upload.ts";
import type { Receiver, Reception } from "../domain/receive.ts";
import type { LocalUploads } from "./local-uploads.ts";

/** ms that an uploader may be silent; a registry's own retries fit in. */
const silence = 300_000;
/** bytes below which another connection is not worth its making */
const worthwhile = 256 * 1024;

export interface WriteParts {
  receiver: Receiver;
  localUploads: LocalUploads;
  hostId: string;
}

/** ImageStore.WriteBlob */
export async function* writeBlob(
  { receiver, localUploads, hostId }: WriteParts,
  requests: AsyncIterable<WriteBlobRequest>,
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<WriteBlobResponse>> {
  const messages = new Messages(requests);
  const start = await messages.start();
  const reception = await receiver.begin(start, signal);
  const { upload, offset } = reception;
  const isLocal =
    start.hostId !== "" && start.hostId === hostId && (start.size === 0 || start.size - offset > worthwhile);
  const local = isLocal && upload !== undefined ? localUploads.offer(upload) : undefined;
  try {
    if (upload !== undefined && local !== undefined) {
      const stream = { socket: localUploads.socket, request: local.request };
      yield { message: { $case: "local", value: { offset, stream } } };
      await messages.commit(upload, local.ended);
    } else {
      yield { message: { $case: "offset", value: offset } };
      await receiveData(reception, messages);
    }
    const { digest, size } = await reception.commit();
    yield { message: { $case: "committed", value: { digest, size, mediaType: "application/octet-stream" } } };
  } catch (error) {
    if (isBerthError(error) && error.reason === "DATA_LOSS") await upload?.discard(error);
    throw error;
  } finally {
    messages.end();
    local?.withdraw();
    await upload?.suspend();
  }
}

async function receiveData({ upload }: Reception, messages: Messages): Promise<void> {
  for (;;) {
    const message = await messages.next();
    if (message?.$case === "commit") return;
    if (message?.$case !== "data") throw new BerthError("CANCELLED", "the upload ended without a commit");
    if (upload === undefined) throw new BerthError("INVALID_ARGUMENT", "the blob is there already, commit is expected");
    const room = upload.write(message.value);
    if (room !== undefined) await room;
  }
}

/** The uploader's messages, each within a deadline. */
class Messages {
  readonly #iterator: AsyncIterator<WriteBlobRequest>;
  readonly #silent: Promise<never>;
  readonly #timer: NodeJS.Timeout;

  constructor(requests: AsyncIterable<WriteBlobRequest>) {
    this.#iterator = requests[Symbol.asyncIterator]();
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.#silent = promise;
    this.#timer = setTimeout(() => reject(new BerthError("DEADLINE", `no data for ${silence / 1000} s`)), silence);
  }

  async start(): Promise<WriteBlobRequest_Start> {
    const message = await this.next();
    if (message?.$case !== "start") throw new BerthError("INVALID_ARGUMENT", "the first message must be start");
    return message.value;
  }

  async next(): Promise<WriteBlobRequest["message"]> {
    this.#timer.refresh();
    const result = await Promise.race([this.#iterator.next(), this.#silent]);
    return result.done ? undefined : result.value.message;
  }

  /** The bytes go another way: waits for their end, then for the commit that stands for them, whichever comes first. */
  async commit(upload: Upload, ended: Promise<void>): Promise<void> {
    const moving = setInterval(() => {
      if (upload.taken === seen) return;
      seen = upload.taken;
      this.#timer.refresh();
    }, silence / 10);
    let seen = upload.taken;
    try {
      const message = this.next();
      message.catch(() => {});
      await Promise.race([ended, message.then((first) => (first?.$case === "commit" ? ended : undefined))]);
      if ((await message)?.$case !== "commit") throw new BerthError("CANCELLED", "the upload ended without a commit");
    } finally {
      clearInterval(moving);
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** ImageStore.ReadBlob */
export async function* readBlobRpc(
  blobs: BlobStore,
  hostId: string,
  request: ReadBlobRequest,
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<ReadBlobResponse>> {
  const { digest, offset, length, follow } = request;
  const wantPath = request.hostId !== "" && request.hostId === hostId;
  for await (const part of readBlob(blobs, digest, { offset, length, follow, wantPath, signal }))
    yield encodePart(part);
}

function encodePart(part: ReadPart): DeepPartial<ReadBlobResponse> {
  if ("data" in part) return { message: { $case: "data", value: part.data } };
  if ("available" in part) return { message: { $case: "available", value: part.available } };
  return { message: { $case: "info", value: part.info } };
}
