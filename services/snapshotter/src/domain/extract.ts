import { BerthError } from "@berth/errors";
import { type ApplyResult, LayerApply } from "@berth/isolation";
import type { BlobPart, BlobSource } from "./blobs.ts";
import { layerFailure } from "./failure.ts";
import type { Layer } from "./snapshotter.ts";

export interface ExtractOptions {
  readonly target: string;
  readonly maxBytes: number;
  readonly onProgress: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Unpacks a layer's blob as it comes and checks that it is what its diff id says. On failure the target holds a part of it.
 * @throws DATA_LOSS, RESOURCE_EXHAUSTED, what the source throws, the signal's reason
 */
export async function extractLayer(source: BlobSource, layer: Layer, options: ExtractOptions): Promise<ApplyResult> {
  const feeding = new AbortController();
  const parts = source.read(layer.blob, AbortSignal.any([options.signal, feeding.signal]))[Symbol.asyncIterator]();
  let apply: LayerApply | undefined;
  try {
    const first = await parts.next();
    if (first.done) throw new BerthError("DATA_LOSS", `blob ${layer.blob} has no content`);
    apply = start(first.value, options);
    // A layer that fails ends its source at once instead of taking in the rest of it.
    apply.result.catch(() => feeding.abort());
    await feed(apply, first.value, parts);
    return verified(await apply.finish(), layer);
  } catch (error) {
    options.signal.throwIfAborted();
    // Which of the two failed first? If it was the unpacking, the feeding only followed.
    throw layerFailure(feeding.signal.aborted ? await failureOf(apply, error) : error, `layer ${layer.blob}`);
  } finally {
    apply?.abort();
    await apply?.result.catch(() => {});
    await parts.return?.();
  }
}

function start(first: BlobPart, { target, maxBytes, onProgress, signal }: ExtractOptions): LayerApply {
  const common = { target, maxBytes, onProgress, signal, deferLinks: true };
  if (first.kind !== "path") return new LayerApply({ ...common, source: { kind: "push" } });
  return new LayerApply({ ...common, source: { kind: first.complete ? "file" : "follow", path: first.path } });
}

async function feed(apply: LayerApply, first: BlobPart, rest: AsyncIterator<BlobPart>): Promise<void> {
  for (let part = first; ; ) {
    if (part.kind === "data") await apply.write(part.data);
    if (part.kind === "available") apply.advance(part.size);
    const next = await rest.next();
    if (next.done) return;
    part = next.value;
  }
}

const failureOf = (apply: LayerApply | undefined, otherwise: unknown): Promise<unknown> =>
  apply === undefined
    ? Promise.resolve(otherwise)
    : apply.result.then(
        () => otherwise,
        (error: unknown) => error,
      );

function verified(result: ApplyResult, layer: Layer): ApplyResult {
  if (result.diffId === layer.diffId) return result;
  throw new BerthError("DATA_LOSS", `layer ${layer.blob} unpacks to ${result.diffId}, expected ${layer.diffId}`, {
    digest: layer.blob,
  });
}
