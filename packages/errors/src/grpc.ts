import { BerthError, errorMessage, isAbortError, isBerthError } from "./error.ts";
import { grpcCodeOf, isReason, type Reason, reasonOfCode } from "./reasons.ts";

/** What a failed call carries: the status, and in its trailer the reason and the details. */
export interface GrpcFailure {
  code: number;
  message: string;
  reason: Reason;
  details: Readonly<Record<string, string>>;
}

/** gRPC sends the message and trailers in one HTTP/2 header block, commonly bounded to 8 KiB. */
const maxMessageLength = 4096;
const maxDetailsLength = 3072;

/** Maps anything thrown to a status: unknown errors become INTERNAL, aborts CANCELLED, time-outs DEADLINE. */
export function toGrpc(error: unknown): GrpcFailure {
  if (isBerthError(error)) {
    return { code: error.code, message: clip(error.message), reason: error.reason, details: error.details };
  }
  if (error instanceof Error && error.name === "TimeoutError") return failure("DEADLINE", error.message);
  if (isAbortError(error)) return failure("CANCELLED", errorMessage(error));
  return failure("INTERNAL", errorMessage(error));
}

/** The other way: a status from the wire becomes the error that the other side threw. */
export function fromGrpc(
  code: number,
  message: string,
  reason?: string,
  details: Readonly<Record<string, string>> = {},
): BerthError {
  return new BerthError(isReason(reason) ? reason : reasonOfCode(code), message, details);
}

/** Details as trailer bytes (JSON). Values that would not fit a header block are left out, the small ones kept. */
export function encodeDetails(details: Readonly<Record<string, string>>): Uint8Array {
  const encoder = new TextEncoder();
  const bytes = encoder.encode(JSON.stringify(details));
  if (bytes.length <= maxDetailsLength) return bytes;
  const kept: Record<string, string> = {};
  let size = 2;
  for (const [key, value] of Object.entries(details)) {
    const cost = encoder.encode(JSON.stringify({ [key]: value })).length;
    if (size + cost > maxDetailsLength) continue;
    kept[key] = value;
    size += cost;
  }
  return encoder.encode(JSON.stringify(kept));
}

/** Reads what {@link encodeDetails} wrote; anything else, being from a peer we don't know, gives no details. */
export function decodeDetails(bytes: Uint8Array | undefined): Record<string, string> {
  if (bytes === undefined || bytes.length === 0) return {};
  try {
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof parsed !== "object" || parsed === null) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
  } catch {
    return {};
  }
}

function failure(reason: Reason, message: string): GrpcFailure {
  return { code: grpcCodeOf(reason), message: clip(message), reason, details: {} };
}

function clip(message: string): string {
  return message.length > maxMessageLength ? `${message.slice(0, maxMessageLength - 1)}…` : message;
}
