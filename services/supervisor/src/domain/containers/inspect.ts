import type { ContainerRecord } from "../model.ts";
import type { Parts } from "./parts.ts";

/** Bytes of the writable layer, and of it with the image below. */
export async function sizesOf(parts: Parts, record: ContainerRecord): Promise<{ rw: number; rootFs: number }> {
  const [rw, image] = await Promise.all([
    parts.snapshots.usage(record.id),
    parts.snapshots.sizeOfLayers(record.spec.layers),
  ]);
  return { rw, rootFs: rw + image };
}
