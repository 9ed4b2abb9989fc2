/** Layers: tar streams into directories and back, each on threads of its own. */
import { type NativeApplyResult, type NativeLayerApply, native } from "./native.ts";

export type ApplyResult = NativeApplyResult;

export interface ApplyOptions {
  /** An existing directory that nothing else writes to meanwhile. On failure it holds what had been written. */
  readonly target: string;
  /**
   * Where the compressed bytes come from: a finished file; a file that is still being written (see advance()); or write().
   * gzip, zstd and plain tar are told apart by their first bytes.
   */
  readonly source:
    | { readonly kind: "file"; readonly path: string }
    | { readonly kind: "follow"; readonly path: string }
    | { readonly kind: "push" };
  /** ".wh." members become overlayfs whiteouts and opaque marks (default), or files as any other. */
  readonly whiteouts?: boolean;
  readonly hashCompressed?: boolean;
  /** Bytes of the uncompressed stream, EFBIG beyond. 0: no limit. */
  readonly maxBytes?: number;
  /** E2BIG beyond. */
  readonly maxEntries?: number;
  /** syncfs() before success. */
  readonly sync?: boolean;
  /** Hard links to files that this layer doesn't have are not refused but listed in the result's `links`, for copyUpLinks(). */
  readonly deferLinks?: boolean;
  /** The archive is diffLayer()'s with the same setting: overlayfs's attributes are taken as they are. For bytes of our own making alone. */
  readonly faithful?: boolean;
  /** Called every 100 ms, and at the end, with the compressed bytes taken so far. */
  readonly onProgress?: (bytesIn: number) => void;
  readonly signal?: AbortSignal;
}

const progressMs = 100;

/**
 * One layer on its way into a directory. `result` settles once: with what was unpacked, or with a NativeError (EBADMSG for a
 * damaged or hostile archive, EFBIG, E2BIG, ENOSPC …), or with the signal's reason.
 */
export class LayerApply {
  readonly result: Promise<ApplyResult>;
  readonly #native: NativeLayerApply;

  constructor(options: ApplyOptions) {
    const { source } = options;
    this.#native = new native.LayerApply({
      source: { kind: source.kind, path: source.kind === "push" ? null : source.path },
      target: options.target,
      whiteouts: options.whiteouts ?? true,
      hashCompressed: options.hashCompressed ?? false,
      maxBytes: options.maxBytes ?? 0,
      maxEntries: options.maxEntries ?? 10_000_000,
      sync: options.sync ?? false,
      deferLinks: options.deferLinks ?? false,
      faithful: options.faithful ?? false,
    });
    this.result = this.#run(options);
    // Whoever feeds the layer may be told of its failure only at the end; that must not count as unhandled until then.
    this.result.catch(() => {});
  }

  /** Push source: resolves when more may come (at most 4 MiB wait inside). After a failure it resolves and does nothing. */
  async write(chunk: Buffer): Promise<void> {
    await this.#native.write(chunk);
  }

  /** Follow source: the first `size` bytes of the file are there. */
  advance(size: number): void {
    this.#native.advance(size);
  }

  /** Push and follow: that was all. */
  finish(): Promise<ApplyResult> {
    this.#native.complete();
    return this.result;
  }

  /** The result fails with ECANCELED, soon. */
  abort(): void {
    this.#native.abort();
  }

  async #run({ onProgress, signal }: ApplyOptions): Promise<ApplyResult> {
    signal?.throwIfAborted();
    const abort = () => this.#native.abort();
    signal?.addEventListener("abort", abort, { once: true });
    const timer = onProgress && setInterval(() => onProgress(this.#native.bytesIn()), progressMs);
    try {
      const result = await this.#native.start();
      onProgress?.(result.bytesIn);
      return result;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

/**
 * Gives the directories that a layer only passes through (`ApplyResult.implied`) the metadata they have in the layers below, top
 * first; otherwise overlayfs would show the defaults they were made with.
 */
export const inheritDirectories = (target: string, lower: readonly string[], paths: readonly string[]): Promise<void> =>
  native.inheritDirectories(target, lower, paths);

/**
 * Makes the hard links that an unpacking deferred (`ApplyResult.links`: path, target, path, target …), once the layers below are
 * there, `lower` with the top first: their targets are copied up, as overlayfs would. Gives the directories that were made for that,
 * for inheritDirectories(), and the bytes copied. EBADMSG when no layer has a target, EFBIG beyond `maxBytes`.
 */
export const copyUpLinks = (
  target: string,
  lower: readonly string[],
  links: readonly string[],
  maxBytes: number,
): Promise<{ readonly implied: readonly string[]; readonly fileBytes: number }> =>
  native.copyUpLinks(target, lower, links, maxBytes);

export interface DiffResult {
  /** Digest of the uncompressed tar. */
  readonly diffId: string;
  /** Digest and bytes of what was read. */
  readonly digest: string;
  readonly size: number;
  readonly tarSize: number;
}

export interface DiffOptions {
  /** An overlay's upper directory. */
  readonly upper: string;
  /** Something may write to it meanwhile: what goes away is left out, not an error. */
  readonly live?: boolean;
  /** Layers below, top first: directories in which nothing changed are left out then, which overlayfs makes on its way. */
  readonly lower?: readonly string[];
  /** Mount points that an engine made ("etc/hosts"): left out where the layers below lack them and nobody wrote there. */
  readonly ignored?: readonly string[];
  readonly whiteouts?: boolean;
  /**
   * For a copy that nothing can be told from: times with their fractions, the directory's own attributes ("./"), overlayfs's attributes.
   * With `whiteouts: false` on both sides, for names that begin with ".wh." are then no more than names.
   */
  readonly faithful?: boolean;
  /** gzip at the fastest level. */
  readonly gzip?: boolean;
  readonly signal?: AbortSignal;
}

/** The tar stream in chunks of up to 256 KiB; the generator's return value tells digests. Stopping early stops the threads. */
export async function* diffLayer({
  upper,
  whiteouts = true,
  gzip = false,
  live = false,
  faithful = false,
  lower = [],
  ignored = [],
  signal,
}: DiffOptions): AsyncGenerator<Buffer, DiffResult> {
  signal?.throwIfAborted();
  const diff = new native.LayerDiff({ upper, whiteouts, gzip, live, faithful, lower, ignored });
  const abort = () => diff.abort();
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (;;) {
      const chunk = await diff.read();
      if (chunk === null) break;
      yield chunk;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
    diff.abort();
  }
  const result = diff.result();
  if (result === null) throw new Error("the diff ended without a result");
  return result;
}

export interface LayerChange {
  /** The Engine API's: 0 modified, 1 added, 2 deleted. */
  readonly kind: number;
  /** Absolute. */
  readonly path: string;
}

/** What a writable layer changed in those below (`lower`, top first); a directory before what is in it. E2BIG beyond a million. */
export async function layerChanges(options: {
  readonly upper: string;
  readonly lower: readonly string[];
  readonly ignored?: readonly string[];
}): Promise<LayerChange[]> {
  const { kinds, paths } = await native.layerChanges({ ignored: [], ...options });
  return paths.map((path, index) => ({ path, kind: kinds[index] as number }));
}

/** Allocated bytes, inodes (its root included) and sizes of files of a tree; a file with several names counts once. */
export const diskUsage = (path: string): Promise<{ bytes: number; inodes: number; fileBytes: number }> =>
  native.diskUsage(path);

/** Removes a tree by its absolute path, staying on its file system and following no link. A missing one is success. */
export const removeTree = (path: string): Promise<void> => native.removeTree(path);

export interface CopyUpOptions {
  /** Directories of the image's layers, top first; at least two, as overlayfs wants. */
  readonly lower: readonly string[];
  /** Any existing directory: the merged view covers it, in a mount namespace that nobody else sees. */
  readonly scratch: string;
  /** In the image; links are followed as the image's own process would. */
  readonly source: string;
  readonly target: string;
  /** In the target: no link leads out of it. */
  readonly subpath?: string;
}

/**
 * Copies what an image has at a path into an empty directory, with owners, modes, times, attributes and hard links, and gives the directory
 * itself the metadata of the image's. "absent": the image has nothing there; "empty": a directory without content; "full": the target is not
 * empty and stays as it is. Throws {@link NativeError}: ENOTDIR when the image has a file there, EXDEV when the subpath leads out.
 */
export const copyUp = (options: CopyUpOptions): Promise<"absent" | "empty" | "copied" | "full"> =>
  native.copyUp({ ...options, subpath: options.subpath ?? "" }) as Promise<"absent" | "empty" | "copied" | "full">;

/** Whether an image has anything at a path: the look that copyUp() begins with. */
export const existsInLayers = async (options: Pick<CopyUpOptions, "lower" | "scratch" | "source">): Promise<boolean> =>
  (await native.copyUp({ ...options, target: "", subpath: "" })) === "present";
