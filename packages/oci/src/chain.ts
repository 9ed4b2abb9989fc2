import { type Digest, digestOf } from "./digest.ts";

/**
 * Identifies each layer together with all those below it (OCI image-spec, config.md, "Layer ChainID").
 * @param diffIds digests of the uncompressed layers, lowest first
 * @returns one chain id a layer, in the same order
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
