import type { Bus } from "@berth/bus";
import type { Image, ImageStore, Layer, Platform, Snapshotter } from "../rpc/types.ts";

/** Answers remembered; one is a few KB (the image's config). */
const maxImages = 256;
const maxSizes = 20_000;

export interface ImagesOptions {
  store: ImageStore;
  /** The snapshotter to ask for layer sizes; undefined when none is there. */
  snapshotter: () => Snapshotter | undefined;
  bus: Pick<Bus, "connected" | "onInstances">;
}

/**
 * Looks images up, remembering the answers: every container create asks for one. The memory is dropped whenever any
 * image changes (an event says so) or the set of services does, and not used at all while events can't arrive.
 */
export class Images {
  readonly store: ImageStore;
  readonly #snapshotter: ImagesOptions["snapshotter"];
  readonly #bus: ImagesOptions["bus"];
  readonly #found = new Map<string, Promise<Image>>();
  readonly #sizes = new Map<string, number>();
  #feedIsLive = false;

  constructor({ store, snapshotter, bus }: ImagesOptions) {
    this.store = store;
    this.#snapshotter = snapshotter;
    this.#bus = bus;
    bus.onInstances(() => this.invalidate());
  }

  /** Told by whoever reads events whether it does so now. */
  set feedIsLive(live: boolean) {
    this.#feedIsLive = live;
    this.invalidate();
  }

  invalidate(): void {
    this.#found.clear();
  }

  /** @throws NO_SUCH_IMAGE, INVALID_ARGUMENT */
  get(reference: string, platform?: Platform): Promise<Image> {
    if (platform !== undefined || !this.#feedIsLive || !this.#bus.connected) return this.#ask(reference, platform);
    const known = this.#found.get(reference);
    if (known !== undefined) return known;
    const answer = this.#ask(reference, undefined);
    if (this.#found.size >= maxImages) this.#found.clear();
    this.#found.set(reference, answer);
    answer.catch(() => {
      if (this.#found.get(reference) === answer) this.#found.delete(reference);
    });
    return answer;
  }

  async #ask(reference: string, platform: Platform | undefined): Promise<Image> {
    const { image } = await this.store.getImage(platform === undefined ? { reference } : { reference, platform });
    if (image === undefined) throw new Error(`the image store's answer for ${reference} has no image`);
    return image;
  }

  /** Bytes of an image unpacked; of its blobs where nobody has unpacked it. */
  async size(image: Image): Promise<number> {
    const sizes = await this.layerSizes(image.layers);
    return sizes === undefined ? image.storedSize : sizes.reduce((sum, size) => sum + size, 0);
  }

  /** Bytes of each layer unpacked; undefined when one of them is not unpacked here. */
  async layerSizes(layers: readonly Layer[]): Promise<number[] | undefined> {
    const sizes = await Promise.all(layers.map(({ chainId }) => this.#layerSize(chainId)));
    return sizes.every((size) => size !== undefined) ? sizes : undefined;
  }

  async #layerSize(chainId: string): Promise<number | undefined> {
    const known = this.#sizes.get(chainId);
    if (known !== undefined) return known;
    const snapshotter = this.#snapshotter();
    if (snapshotter === undefined) return undefined;
    try {
      const { snapshot } = await snapshotter.stat({ key: chainId });
      if (snapshot === undefined) return undefined;
      if (this.#sizes.size >= maxSizes) this.#sizes.clear();
      // A chain id names content: its size never changes.
      this.#sizes.set(chainId, snapshot.size);
      return snapshot.size;
    } catch {
      // Not unpacked, or no snapshotter: sizes are for show and must not fail a listing.
      return undefined;
    }
  }
}
