import { BerthError, errorMessage, type Reason } from "@berth/errors";
import { isNativeError } from "@berth/isolation";

const reasons: Readonly<Record<string, Reason>> = {
  EBADMSG: "DATA_LOSS",
  EFBIG: "RESOURCE_EXHAUSTED",
  E2BIG: "RESOURCE_EXHAUSTED",
  ENOSPC: "NO_SPACE",
  EDQUOT: "NO_SPACE",
  ECANCELED: "CANCELLED",
};

/** What went wrong while a layer was unpacked or read, in the domain's words; errors of the domain pass as they are. */
export function layerFailure(error: unknown, what: string): unknown {
  if (!isNativeError(error)) return error;
  return new BerthError(reasons[error.code] ?? "INTERNAL", `${what}: ${errorMessage(error)}`, {}, { cause: error });
}
