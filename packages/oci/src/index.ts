/**
 * The Open Container Initiative's image formats as every service needs them: references the way Docker reads them,
 * digests, media types, manifests, platforms and chain ids. Knows no transport and no disk.
 */
export { type Algorithm, digestOf, type Digest, digestHex, isDigest, parseDigest, shortId } from "./digest.ts";
export { chainIds } from "./chain.ts";
export { compressionOf, isIndexType, isManifestType, manifestAccept, MediaType } from "./media.ts";
export {
  type Platform,
  formatPlatform,
  hostPlatform,
  matchesPlatform,
  normalizePlatform,
  parsePlatform,
  selectPlatform,
} from "./platform.ts";
export {
  familiarName,
  familiarString,
  parseAnyReference,
  parseReference,
  type Reference,
  referenceString,
  withDefaultTag,
} from "./reference.ts";
export { matchReference, pathMatch } from "./match.ts";
export type { Descriptor, History, ImageConfig, ImageIndex, ImageManifest, RuntimeConfig } from "./types.ts";
export { maxManifestBytes, parseConfig, parseIndex, parseManifest, sniffMediaType } from "./validate.ts";
