import { diffLayer } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { endCommitPause, pauseForCommit } from "../containers/pause.ts";
import { conflict } from "../errors.ts";
import { engineMountPoints } from "./view.ts";

export interface CommitOptions {
  /** JSON of the new image's "config" object, and of the container's. */
  config: Buffer;
  containerConfig: Buffer;
  author: string;
  comment: string;
  /** name:tag; empty for none */
  reference: string;
  /** Freeze the container's processes while its files are read. */
  pause: boolean;
}

/** The image store, as far as commits need it. */
export interface CommitTarget {
  /** Makes an image of a layer's uncompressed tar on top of another; all or nothing. Gives its id. */
  commit(
    image: Omit<CommitOptions, "pause"> & { parent: string; containerId: string; createdBy: string },
    layer: AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): Promise<string>;
}

/** Makes an image of the container's image and what it changed. @throws CONFLICT, and what the image store throws */
export async function commit(
  parts: Parts,
  container: Container,
  { pause: wanted, ...image }: CommitOptions,
  signal: AbortSignal,
): Promise<string> {
  const { record } = container;
  if (record.removing) throw conflict(`You cannot commit container ${record.id} which is being removed`);
  const frozen = wanted && (await freeze(parts, container));
  parts.fault("commit.frozen");
  try {
    const rest = { parent: record.spec.imageId, containerId: record.id, createdBy: record.spec.config.cmd.join(" ") };
    const imageId = await parts.images.commit({ ...image, ...rest }, layerOf(container, signal), signal);
    const { comment, reference } = image;
    const event = containerEvent(parts.nodeId, record, "commit", { comment, imageID: imageId, imageRef: reference });
    await parts.records.commitLazily({ events: [event] });
    return imageId;
  } finally {
    if (frozen) await endCommitPause(parts, container);
  }
}

/** Only what runs can be frozen, and what is frozen already stays so. */
async function freeze(parts: Parts, container: Container): Promise<boolean> {
  if (container.record.state.status !== "running") return false;
  return pauseForCommit(parts, container).then(
    () => true,
    () => false,
  );
}

async function* layerOf({ record }: Container, signal: AbortSignal): AsyncGenerator<Buffer> {
  const [upper = "", ...lower] = record.layerDirs;
  yield* diffLayer({ upper, lower, ignored: engineMountPoints, live: true, signal });
}
