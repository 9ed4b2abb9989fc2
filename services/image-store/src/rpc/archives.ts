import type {
  CommitImageRequest,
  CommitImageResponse,
  DeepPartial,
  ImportImageRequest,
  ImportImageResponse,
  LoadImagesRequest,
  LoadImagesResponse,
  SaveImagesResponse,
} from "@berth/api/images";
import { BerthError } from "@berth/errors";
import { untilEnd } from "@berth/rpc";
import type { ArchiveParts } from "../domain/archive/archives.ts";
import { commitLayer } from "../domain/archive/commit.ts";
import type { LoadMessage } from "../domain/archive/contents.ts";
import { importTar } from "../domain/archive/import.ts";
import { load } from "../domain/archive/load.ts";
import { save } from "../domain/archive/save.ts";
import { decodePlatform } from "./convert.ts";

/** ms between two words about the same layer */
const sayEvery = 100;

/** ImageStore.LoadImages */
export async function* loadImages(
  parts: ArchiveParts,
  requests: AsyncIterable<LoadImagesRequest>,
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<LoadImagesResponse>> {
  const outgoing = new Outgoing();
  const loading = load(parts, untilEnd(dataOf(requests)), (message) => outgoing.add(message), signal).finally(() =>
    outgoing.end(),
  );
  // Thrown below, after what was told before it.
  loading.catch(() => {});
  yield* outgoing.messages();
  await loading;
}

async function* dataOf(requests: AsyncIterable<LoadImagesRequest>): AsyncGenerator<Buffer> {
  for await (const { data } of requests) yield data;
}

/** Messages for a caller who may be slow: of a layer's progress only the newest waits, and not more often than is of use. */
class Outgoing {
  readonly #progress = new Map<string, LoadMessage>();
  readonly #saidAt = new Map<string, number>();
  readonly #loaded: LoadMessage[] = [];
  #ended = false;
  #wake: () => void = () => {};

  add(message: LoadMessage): void {
    if ("loaded" in message) {
      this.#loaded.push(message);
    } else {
      const { id, current, total } = message.progress;
      const now = performance.now();
      if (current < total && now - (this.#saidAt.get(id) ?? 0) < sayEvery) return;
      this.#saidAt.set(id, now);
      this.#progress.set(id, message);
    }
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *messages(): AsyncGenerator<DeepPartial<LoadImagesResponse>> {
    for (;;) {
      for (const [id, message] of this.#progress) {
        this.#progress.delete(id);
        yield encodeMessage(message);
      }
      const next = this.#loaded.shift();
      if (next !== undefined) yield encodeMessage(next);
      else if (this.#ended && this.#progress.size === 0) return;
      else if (this.#progress.size === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function encodeMessage(message: LoadMessage): DeepPartial<LoadImagesResponse> {
  if ("loaded" in message) return { message: { $case: "loaded", value: message.loaded } };
  return { message: { $case: "progress", value: message.progress } };
}

/** ImageStore.SaveImages */
export async function* saveImages(
  parts: ArchiveParts,
  references: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<SaveImagesResponse>> {
  for await (const data of save(parts, references, signal)) yield { data: data as Buffer<ArrayBuffer> };
}

/** ImageStore.ImportImage */
export async function importImage(
  parts: ArchiveParts,
  requests: AsyncIterable<ImportImageRequest>,
  signal: AbortSignal,
): Promise<DeepPartial<ImportImageResponse>> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value } = await iterator.next();
  const start = done ? undefined : (value as ImportImageRequest).message;
  if (start?.$case !== "start") throw new BerthError("INVALID_ARGUMENT", "the first message must be start");
  const { reference, comment, config, platform } = start.value;
  const options = { reference, comment, config, platform: decodePlatform(platform) };
  return { imageId: await importTar(parts, options, untilEnd(restOf(iterator)), signal) };
}

/** ImageStore.CommitImage */
export async function commitImage(
  parts: ArchiveParts,
  requests: AsyncIterable<CommitImageRequest>,
  signal: AbortSignal,
): Promise<DeepPartial<CommitImageResponse>> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value } = await iterator.next();
  const start = done ? undefined : (value as CommitImageRequest).message;
  if (start?.$case !== "start") throw new BerthError("INVALID_ARGUMENT", "the first message must be start");
  return { imageId: await commitLayer(parts, start.value, untilEnd(restOf(iterator)), signal) };
}

async function* restOf(iterator: AsyncIterator<ImportImageRequest | CommitImageRequest>): AsyncGenerator<Buffer> {
  for (;;) {
    const { done, value } = await iterator.next();
    if (done) return;
    if (value.message?.$case !== "data") throw new BerthError("INVALID_ARGUMENT", "after start only data is expected");
    yield value.message.value;
  }
}
