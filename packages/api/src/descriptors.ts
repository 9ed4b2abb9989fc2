import { readFileSync } from "node:fs";

/** The serialized FileDescriptorSet of every proto, for reflection. Read on demand: few processes ever need it. */
export function readDescriptorSet(): Buffer {
  return readFileSync(new URL("./gen/descriptors.binpb", import.meta.url));
}
