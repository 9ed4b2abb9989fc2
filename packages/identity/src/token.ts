// What an operator carries from an engine to a host that is to join it.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { BerthError } from "@berth/errors";

export interface JoinToken {
  /** Where the authority listens, "HOST:PORT". */
  addresses: string[];
  /** SHA-256 of the authority's certificate, base64url: a host that has nothing else knows by it whom it talks to. */
  fingerprint: string;
  id: string;
  secret: string;
}

const prefix = "BERTH-1-";
const maxLength = 4096;
const maxAddresses = 16;

export const newTokenId = (): string => randomBytes(6).toString("hex");
/** 256 bits: guessing is hopeless, so a fast hash is as good as a slow one. */
export const newSecret = (): string => randomBytes(32).toString("base64url");
export const hashSecret = (secret: string): string => createHash("sha256").update(secret).digest("base64url");

export function isSecret(secret: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashSecret(secret)), Buffer.from(hash));
}

export function encodeToken({ addresses, fingerprint, id, secret }: JoinToken): string {
  return prefix + Buffer.from(JSON.stringify([addresses, fingerprint, id, secret])).toString("base64url");
}

/** @throws INVALID_ARGUMENT for what is no token; the message never quotes it */
export function decodeToken(text: string): JoinToken {
  const given = text.trim();
  if (given.length > maxLength) throw invalid(`it has ${given.length} characters`);
  if (!given.startsWith(prefix)) throw invalid(`it does not begin with ${prefix}`);
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(given.slice(prefix.length), "base64url").toString("utf8"));
  } catch {
    throw invalid("a part of it is missing or changed");
  }
  if (!Array.isArray(parts)) throw invalid("a part of it is missing or changed");
  const [addresses, fingerprint, id, secret] = parts as unknown[];
  if (!isAddresses(addresses) || !isWord(fingerprint, 43) || !isWord(id, 12) || !isWord(secret, 43))
    throw invalid("a part of it is missing or changed");
  return { addresses, fingerprint, id, secret };
}

const isWord = (value: unknown, length: number): value is string =>
  typeof value === "string" && value.length === length && /^[\w-]+$/.test(value);

const isAddresses = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= maxAddresses &&
  value.every((address) => typeof address === "string" && /^[^\s/@]{1,255}:\d{1,5}$/.test(address));

const invalid = (why: string) =>
  new BerthError("INVALID_ARGUMENT", `this is not a join token (${why}); berth node token prints one`);
