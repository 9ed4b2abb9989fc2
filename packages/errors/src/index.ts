/**
 * The domain's errors. Every service throws {@link BerthError}; code branches on `reason`, never on text.
 * Two tables map a reason to gRPC's status and to HTTP's; nothing below a service's rpc/ folder knows either protocol.
 */
export { GrpcCode } from "./codes.ts";
export { BerthError, errorMessage, isAbortError, isBerthError } from "./error.ts";
export { execFailureText, type ProgramFailure, programFailure } from "./exec-failure.ts";
export { decodeDetails, encodeDetails, fromGrpc, type GrpcFailure, toGrpc } from "./grpc.ts";
export { allReasons, httpStatus, isReason, type Reason } from "./reasons.ts";
