import type { GrpcCode } from "./codes.ts";
import { grpcCodeOf, isReason, type Reason } from "./reasons.ts";

/** An error of the domain. `message` is for people (Docker clients match some of them to the letter). */
export class BerthError extends Error {
  readonly code: GrpcCode;
  readonly reason: Reason;
  readonly details: Readonly<Record<string, string>>;

  constructor(
    reason: Reason,
    message: string,
    details: Readonly<Record<string, string>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = "BerthError";
    this.reason = reason;
    this.code = grpcCodeOf(reason);
    this.details = details;
  }
}

/** Structural, since two bundles may each hold a copy of the class. */
export function isBerthError(error: unknown): error is BerthError {
  if (!(error instanceof Error)) return false;
  const candidate = error as Partial<BerthError>;
  return (
    candidate.name === "BerthError" &&
    isReason(candidate.reason) &&
    typeof candidate.code === "number" &&
    typeof candidate.details === "object" &&
    candidate.details !== null
  );
}

/** True for what AbortSignal, Node's core and abort-controller-x throw when a call is cancelled. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || (error as { code?: unknown }).code === "ABORT_ERR");
}

/** The text of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
