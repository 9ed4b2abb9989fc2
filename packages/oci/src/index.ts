/**
 * The Open Container Initiative's image formats as every service needs them: references the way Docker reads them,
 * digests, media types, manifests, platforms and chain ids. Knows no transport and no disk.
 */

export { chainIds } from "./chain.ts";
export { type Algorithm, type Digest, digestHex, digestOf, isDigest, parseDigest, shortId } from "./digest.ts";
export { matchReference } from "./match.ts";
export { isIndexType, isManifestType, MediaType, manifestAccept } from "./media.ts";
export {
  type HealthcheckConfig,
  type ImageDefaults,
  type MergedConfig,
  mergeImage,
  type OwnSettings,
} from "./merge.ts";
export {
  formatPlatform,
  hostPlatform,
  matchesPlatform,
  type Platform,
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
export type { Descriptor, History, ImageConfig, ImageIndex, ImageManifest, RuntimeConfig } from "./types.ts";
export { maxManifestBytes, parseConfig, parseIndex, parseManifest, sniffMediaType } from "./validate.ts";
