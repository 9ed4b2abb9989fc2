import { createHash } from "node:crypto";
import { BerthError } from "@berth/errors";

/** A create that the client may send again. */
export interface IdempotentRequest {
  /** The client's key, hashed: as long as any other. */
  key: string;
  digest: string;
}

/** characters; a UUID has 36. */
const maxKey = 255;

/**
 * Reads the header Idempotency-Key (IETF draft "The Idempotency-Key HTTP Header Field"): a repetition of the same request
 * with the same key is answered with the first one's container, as long as that is there, also after a crash and
 * through another gateway. The same key with another request is a conflict.
 * @param parts all that makes one request different from another
 * @throws INVALID_ARGUMENT for a key that is empty, too long or not printable ASCII
 */
export function idempotentRequest(
  header: string | string[] | undefined,
  parts: readonly (string | Buffer)[],
): IdempotentRequest | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== "string" || header.length > maxKey || !/^[\x21-\x7e]+$/.test(header)) {
    throw new BerthError(
      "INVALID_ARGUMENT",
      `invalid Idempotency-Key header: must be 1 to ${maxKey} printable ASCII characters without blanks`,
    );
  }
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part).update("\0");
  return { key: `client:${createHash("sha256").update(header).digest("hex")}`, digest: digest.digest("hex") };
}
