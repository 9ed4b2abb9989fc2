import { createHash } from "node:crypto";
import { BerthError } from "@berth/errors";

/** "algorithm:hex" (OCI image-spec, descriptor.md, "Digests"). */
export type Digest = string;

/** Those that the image-spec registers, and how many hex digits each has. */
const hexLength = { sha256: 64, sha384: 96, sha512: 128 } as const;
export type Algorithm = keyof typeof hexLength;

const grammar = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;

/** @throws INVALID_ARGUMENT with the text that Docker has for each fault. */
export function parseDigest(text: string): { algorithm: Algorithm; hex: string } {
  const fault = digestFault(text);
  if (fault !== undefined) throw new BerthError("INVALID_ARGUMENT", fault, { digest: text.slice(0, 200) });
  const colon = text.indexOf(":");
  return { algorithm: text.slice(0, colon) as Algorithm, hex: text.slice(colon + 1) };
}

export function isDigest(text: string): boolean {
  return digestFault(text) === undefined;
}

/** The hex digits of a digest already known to be one. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The twelve digits that Docker shows. Takes a digest or bare hex. */
export function shortId(id: string): string {
  return digestHex(id).slice(0, 12);
}

/** Digest of bytes at hand. Large content is hashed as it streams instead. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function digestFault(text: string): string | undefined {
  if (text.length > 512 || !grammar.test(text)) return "invalid checksum digest format";
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, colon);
  if (!Object.hasOwn(hexLength, algorithm)) return "unsupported digest algorithm";
  const hex = text.slice(colon + 1);
  if (hex.length !== hexLength[algorithm as Algorithm]) return "invalid checksum digest length";
  return /^[a-f0-9]+$/.test(hex) ? undefined : "invalid checksum digest format";
}
