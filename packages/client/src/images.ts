import type { Readable } from "node:stream";
import type { DeepPartial } from "@berth/api/containers";
import type { Image } from "@berth/api/images";
import { LayerStatus, type PullResponse, type RegistryAuth } from "@berth/api/registry";
import type { Platform } from "@berth/api/types";
import { BerthError } from "@berth/errors";
import { markEnd } from "@berth/rpc/client";
import { type ByteSource, chunksOf, readableOf, uploadOf } from "./files.ts";
import { given, type Link } from "./link.ts";
import type { CallOptions } from "./options.ts";
import { type Filters, filterValues } from "./volumes.ts";

export interface ListImages {
  /** Those that are only below others as well. */
  all?: boolean | undefined;
  /** The Engine API's: { reference: ["busybox*"], dangling: ["true"] } */
  filters?: Filters | undefined;
}

export interface ForPlatform {
  platform?: DeepPartial<Platform> | undefined;
}

export interface PullOptions extends ForPlatform {
  auth?: DeepPartial<RegistryAuth> | undefined;
}

/** What a pull tells, in this order but for the layers, of which many are under way at once. */
export type PullProgress =
  | { kind: "resolved"; name: string; tag: string; digest: string }
  | { kind: "plan"; imageId: string; layers: string[] }
  | { kind: "layer"; digest: string; status: LayerState; current: number; total: number }
  | { kind: "done"; imageId: string; digest: string; changed: boolean };

export type LayerState = "waiting" | "downloading" | "verifying" | "downloaded" | "exists" | "retrying";

/** One step in which an image was made, oldest first. */
export interface ImageStep {
  /** RFC 3339; empty where nobody said. */
  created: string;
  createdBy: string;
  comment: string;
  /** bytes of its layer as it is stored; 0 for a step that changed no files */
  size: number;
}

export interface RemoveImage {
  force?: boolean | undefined;
  /** Keeps the images below that nothing else needs. */
  noPrune?: boolean | undefined;
}

export interface ImportImage extends ForPlatform {
  /** name[:tag] */
  reference?: string | undefined;
  comment?: string | undefined;
  /** The image's "config" object (OCI image-spec, config.md). */
  config?: object | undefined;
}

const forever = Number.POSITIVE_INFINITY;

/** Images of the site. Errors: NO_SUCH_IMAGE, IN_USE, CONFLICT, INVALID_ARGUMENT. */
export class Images {
  readonly #link: Link;

  /** @internal */
  constructor(link: Link) {
    this.#link = link;
  }

  /** By name[:tag], name@digest, id or unambiguous id prefix. */
  async inspect(reference: string, { platform, ...call }: CallOptions & ForPlatform = {}): Promise<Image> {
    const request = { reference, ...(platform !== undefined && { platform }) };
    const { image } = await this.#link.again(({ images }, how) => images.getImage(request, how), call);
    if (image === undefined) throw new BerthError("INTERNAL", "the engine's answer has no image");
    return image;
  }

  /** Without their configs. */
  async list({ all = false, filters = {} }: ListImages = {}, call: CallOptions = {}): Promise<Image[]> {
    const request = { all, brief: true, filters: filterValues(filters) };
    return (await this.#link.again(({ images }, how) => images.listImages(request, how), call)).images;
  }

  async history(reference: string, call: CallOptions & ForPlatform = {}): Promise<ImageStep[]> {
    return stepsOf(await this.inspect(reference, call));
  }

  /** `target`: name[:tag]. Gives the image's id. */
  async tag(source: string, target: string, call: CallOptions = {}): Promise<string> {
    return (await this.#link.once(({ images }, how) => images.tagImage({ source, target }, how), call)).imageId;
  }

  /** A tag, or an image with all its tags. Gives the names and ids that are gone. @throws IN_USE while containers need it */
  remove(
    reference: string,
    options: CallOptions & RemoveImage = {},
  ): Promise<{ untagged: string[]; deleted: string[] }> {
    const { force = false, noPrune = false, ...call } = options;
    return this.#link.once(({ images }, how) => images.removeImage({ reference, force, noPrune }, how), call);
  }

  /** Ends well only when every byte is in the store, verified, and the tag is set. */
  async *pull(
    reference: string,
    { platform, auth, signal }: CallOptions & PullOptions = {},
  ): AsyncGenerator<PullProgress> {
    const request = { reference, ...(platform && { platform }), ...(auth && { auth }) };
    for await (const { message } of this.#link.services.registry.pull(request, given({ signal }))) {
      const progress = message && progressOf(message);
      if (progress !== undefined) yield progress;
    }
  }

  /** Takes a docker-save archive or an OCI layout (plain, gzip or zstd). Gives what Docker says of each image. */
  async load(archive: ByteSource, call: CallOptions = {}): Promise<string[]> {
    async function* requests() {
      for await (const data of markEnd(chunksOf(archive))) yield { data };
    }
    const loaded: string[] = [];
    for await (const { message } of this.#link.services.images.loadImages(requests(), given(call)))
      if (message?.$case === "loaded") loaded.push(message.value);
    return loaded;
  }

  /** The docker-save archive of images. */
  save(references: readonly string[], call: CallOptions = {}): Readable {
    const answers = this.#link.services.images.saveImages({ references: [...references] }, given(call));
    async function* pieces() {
      for await (const { data } of answers) yield data;
    }
    return readableOf(pieces());
  }

  /** A tar of a root file system becomes an image of one layer. Gives its id. */
  async import(tar: ByteSource, options: ImportImage & CallOptions = {}): Promise<string> {
    const { reference = "", comment = "", config, platform, ...call } = options;
    const start = {
      reference,
      comment,
      ...(config !== undefined && { config: Buffer.from(JSON.stringify(config)) }),
      ...(platform !== undefined && { platform }),
    };
    const answer = await this.#link.once(
      ({ images }, how) => images.importImage(uploadOf(start, tar), how),
      call,
      forever,
    );
    return answer.imageId;
  }
}

const layerStates: Partial<Record<LayerStatus, LayerState>> = {
  [LayerStatus.WAITING]: "waiting",
  [LayerStatus.DOWNLOADING]: "downloading",
  [LayerStatus.VERIFYING]: "verifying",
  [LayerStatus.DOWNLOADED]: "downloaded",
  [LayerStatus.EXISTS]: "exists",
  [LayerStatus.RETRYING]: "retrying",
};

function progressOf(message: NonNullable<PullResponse["message"]>): PullProgress {
  switch (message.$case) {
    case "resolved": {
      const { name, tag, descriptor } = message.value;
      return { kind: "resolved", name, tag, digest: descriptor?.digest ?? "" };
    }
    case "plan": {
      const { imageId, layers } = message.value;
      return { kind: "plan", imageId, layers: layers.map(({ blob }) => blob?.digest ?? "") };
    }
    case "layer": {
      const { digest, status, current, total } = message.value;
      return { kind: "layer", digest, status: layerStates[status] ?? "waiting", current, total };
    }
    case "done":
      return { kind: "done", ...message.value };
  }
}

interface HistoryEntry {
  created?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
}

/** The steps of an image's config, with the sizes of the layers that they made. */
function stepsOf({ config, layers }: Image): ImageStep[] {
  const { history = [] } = JSON.parse(config.toString("utf8")) as { history?: HistoryEntry[] | null };
  let layer = 0;
  return (history ?? []).map(({ created = "", created_by: createdBy = "", comment = "", empty_layer: isEmpty }) => {
    const size = isEmpty === true ? 0 : (layers[layer++]?.blob?.size ?? 0);
    return { created, createdBy, comment, size };
  });
}
