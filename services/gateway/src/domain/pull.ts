import { errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { Layer, PullResponse, RegistryAuth, RegistryProxy, Snapshotter } from "../rpc/types.ts";
import { LayerStatus, UnpackStatus } from "../rpc/types.ts";
import type { ProgressMessage } from "../shapes/progress.ts";

export interface PullParts {
  log: Logger;
  registry: RegistryProxy;
  /** Unpacks while layers still arrive; undefined when no host of containers is there yet. */
  snapshotter: Snapshotter | undefined;
}

export interface PullRequest {
  reference: string;
  /** As messages name it: "busybox:latest". */
  shown: string;
  /** The name without its registry, as the first message has it: "library/busybox". */
  path: string;
  platform: { os: string; architecture: string; variant: string; osVersion: string } | undefined;
  auth: RegistryAuth | undefined;
}

/** ms between two messages of one layer: more than a terminal shows is work for nobody. */
const interval = 100;
/** Messages that wait for a slow client; progress beyond it is left out, the rest never. */
const maxQueued = 1_000;

/**
 * Pulls an image and unpacks it, both at once, and tells of it as Docker does. Ends when the tag is set and the layers
 * are unpacked. The unpacking is a head start: if it fails, the image is there all the same and the first create
 * unpacks (and says what is wrong, if it still is).
 * @throws what the registry proxy throws
 */
export async function* pull(
  parts: PullParts,
  request: PullRequest,
  signal: AbortSignal,
): AsyncGenerator<ProgressMessage> {
  const ending = new AbortController();
  const scope = AbortSignal.any([signal, ending.signal]);
  const queue = new Queue();
  const state = new PullState(queue, request.path);
  const work = run(parts, request, state, scope).then(
    () => queue.end(),
    (error: unknown) => queue.end(error),
  );
  try {
    yield* queue.messages();
    await work;
  } finally {
    ending.abort();
  }
}

async function run(parts: PullParts, request: PullRequest, state: PullState, signal: AbortSignal): Promise<void> {
  const { reference, platform, auth } = request;
  let unpacking: Promise<void> | undefined;
  let done: { digest: string; changed: boolean } | undefined;
  for await (const { message } of parts.registry.pull({ reference, platform, auth }, { signal })) {
    if (message?.$case === "plan") unpacking ??= unpack(parts, request, message.value.layers, state, signal);
    if (message?.$case === "done") done = message.value;
    else if (message !== undefined) state.take(message);
  }
  await unpacking;
  if (done?.changed === true) state.sayExisting();
  state.complete();
  if (done === undefined) throw new Error(`the registry proxy ended the pull of ${request.shown} without a result`);
  state.say({ status: `Digest: ${done.digest}` });
  state.say({
    status: done.changed
      ? `Status: Downloaded newer image for ${request.shown}`
      : `Status: Image is up to date for ${request.shown}`,
  });
}

async function unpack(
  { log, snapshotter }: PullParts,
  { shown }: PullRequest,
  layers: Layer[],
  state: PullState,
  signal: AbortSignal,
): Promise<void> {
  if (snapshotter === undefined) return;
  try {
    for await (const { digest, status, current, total } of snapshotter.unpack({ layers }, { signal })) {
      state.unpacked(digest, status, current, total);
    }
  } catch (error) {
    // See above: create unpacks what is missing and reports what is wrong. A pull that is given up takes this with it.
    if (!signal.aborted)
      log.warn({ image: shown, reason: errorMessage(error) }, "a pulled image could not be unpacked");
  }
}

type Message = NonNullable<PullResponse["message"]>;

interface LayerView {
  id: string;
  downloaded: boolean;
  unpacked: boolean;
  /** ms of the last message with numbers */
  toldAt: number;
}

/** What the client has been told about each layer. */
class PullState {
  readonly #queue: Queue;
  readonly #path: string;
  readonly #layers = new Map<string, LayerView>();
  /** Layers that were there before; not worth a word when all were. */
  #existing: ProgressMessage[] = [];

  constructor(queue: Queue, path: string) {
    this.#queue = queue;
    this.#path = path;
  }

  say(message: ProgressMessage): void {
    this.#queue.push(message);
  }

  take(message: Message): void {
    if (message.$case === "resolved") {
      this.say({ status: `Pulling from ${this.#path}`, id: message.value.tag });
    } else if (message.$case === "plan") {
      for (const { blob } of message.value.layers) if (blob !== undefined) this.#layer(blob.digest);
    } else if (message.$case === "layer") {
      this.#download(message.value);
    }
  }

  #layer(digest: string): LayerView {
    let layer = this.#layers.get(digest);
    if (layer === undefined) {
      const id = digest.slice(digest.indexOf(":") + 1).slice(0, 12);
      layer = { id, downloaded: false, unpacked: false, toldAt: 0 };
      this.#layers.set(digest, layer);
    }
    return layer;
  }

  #download(progress: Extract<Message, { $case: "layer" }>["value"]): void {
    const isNew = !this.#layers.has(progress.digest);
    if (progress.status !== LayerStatus.EXISTS) this.sayExisting();
    const layer = this.#layer(progress.digest);
    const { id } = layer;
    switch (progress.status) {
      case LayerStatus.EXISTS:
        layer.downloaded = layer.unpacked = true;
        this.#existing.push({ status: "Already exists", id });
        return;
      case LayerStatus.WAITING:
        this.say({ status: "Pulling fs layer", id });
        return;
      case LayerStatus.DOWNLOADING:
        if (isNew) this.say({ status: "Pulling fs layer", id });
        this.#numbers(layer, "Downloading", progress.current, progress.total);
        return;
      case LayerStatus.VERIFYING:
        this.say({ status: "Verifying Checksum", id });
        return;
      case LayerStatus.RETRYING:
        this.say({
          status: `Retrying in ${progress.retryInSeconds} second${progress.retryInSeconds === 1 ? "" : "s"}`,
          id,
        });
        return;
      case LayerStatus.DOWNLOADED:
        if (!layer.downloaded) this.say({ status: "Download complete", id });
        layer.downloaded = true;
        return;
      default:
    }
  }

  sayExisting(): void {
    for (const message of this.#existing) this.say(message);
    this.#existing = [];
  }

  unpacked(digest: string, status: UnpackStatus, current: number, total: number): void {
    const layer = this.#layer(digest);
    // Unpacking goes on while the layer still arrives; a client shows one thing a layer, the slower one.
    if (status === UnpackStatus.EXTRACTING && layer.downloaded && !layer.unpacked) {
      this.#numbers(layer, "Extracting", current, total);
    }
    if (status === UnpackStatus.DONE || status === UnpackStatus.EXISTS) this.#complete(layer);
  }

  /** Everything is there: whatever nobody spoke of is complete as well. */
  complete(): void {
    for (const layer of this.#layers.values()) this.#complete(layer);
  }

  #complete(layer: LayerView): void {
    if (layer.unpacked) return;
    layer.unpacked = true;
    if (!layer.downloaded) this.say({ status: "Download complete", id: layer.id });
    layer.downloaded = true;
    this.say({ status: "Pull complete", id: layer.id });
  }

  #numbers(layer: LayerView, status: string, current: number, total: number): void {
    const now = performance.now();
    if (now - layer.toldAt < interval && current < total) return;
    layer.toldAt = now;
    this.#queue.pushNumbers({ status, id: layer.id, current, total });
  }
}

/** Messages on their way to one client. */
class Queue {
  #waiting: ProgressMessage[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #error: unknown;

  push(message: ProgressMessage): void {
    this.#waiting.push(message);
    this.#wake?.();
  }

  pushNumbers(message: ProgressMessage): void {
    if (this.#waiting.length < maxQueued) this.push(message);
  }

  end(error?: unknown): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *messages(): AsyncGenerator<ProgressMessage> {
    for (;;) {
      const batch = this.#waiting;
      this.#waiting = [];
      yield* batch;
      if (this.#waiting.length > 0) continue;
      if (this.#ended) {
        if (this.#error !== undefined) throw this.#error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
