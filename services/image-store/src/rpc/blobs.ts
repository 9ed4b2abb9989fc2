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
import type { Receiver, Reception } from "../domain/receive.ts";

/** ms that an uploader may be silent; a registry's own retries fit in. */
const silence = 120_000;

/** ImageStore.WriteBlob */
export async function* writeBlob(
  receiver: Receiver,
  requests: AsyncIterable<WriteBlobRequest>,
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<WriteBlobResponse>> {
  const messages = new Messages(requests);
  const reception = await receiver.begin(await messages.start(), signal);
  try {
    yield { message: { $case: "offset", value: reception.offset } };
    await receiveData(reception, messages);
    const { digest, size } = await reception.commit();
    yield { message: { $case: "committed", value: { digest, size, mediaType: "application/octet-stream" } } };
  } catch (error) {
    if (isBerthError(error) && error.reason === "DATA_LOSS") await reception.upload?.discard(error);
    throw error;
  } finally {
    messages.end();
    await reception.upload?.suspend();
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
  for await (const part of readBlob(blobs, digest, { offset, length, follow, wantPath, signal })) yield encodePart(part);
}

function encodePart(part: ReadPart): DeepPartial<ReadBlobResponse> {
  if ("data" in part) return { message: { $case: "data", value: part.data } };
  if ("available" in part) return { message: { $case: "available", value: part.available } };
  return { message: { $case: "info", value: part.info } };
}
