import { GrpcCode } from "./codes.ts";

/** What a reason means on each wire. One row a reason: the only such table in the project. */
const table = {
  NOT_FOUND: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NO_SUCH_CONTAINER: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NO_SUCH_EXEC: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NO_SUCH_IMAGE: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NO_SUCH_NETWORK: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NO_SUCH_VOLUME: { grpc: GrpcCode.NOT_FOUND, http: 404 },
  NAME_IN_USE: { grpc: GrpcCode.ALREADY_EXISTS, http: 409 },
  ALREADY_EXISTS: { grpc: GrpcCode.ALREADY_EXISTS, http: 409 },
  CONFLICT: { grpc: GrpcCode.ABORTED, http: 409 },
  NOT_MODIFIED: { grpc: GrpcCode.FAILED_PRECONDITION, http: 304 },
  CONTAINER_RUNNING: { grpc: GrpcCode.FAILED_PRECONDITION, http: 409 },
  CONTAINER_NOT_RUNNING: { grpc: GrpcCode.FAILED_PRECONDITION, http: 409 },
  CONTAINER_PAUSED: { grpc: GrpcCode.FAILED_PRECONDITION, http: 409 },
  IN_USE: { grpc: GrpcCode.FAILED_PRECONDITION, http: 409 },
  INVALID_ARGUMENT: { grpc: GrpcCode.INVALID_ARGUMENT, http: 400 },
  UNAUTHENTICATED: { grpc: GrpcCode.UNAUTHENTICATED, http: 401 },
  FORBIDDEN: { grpc: GrpcCode.PERMISSION_DENIED, http: 403 },
  UNAVAILABLE: { grpc: GrpcCode.UNAVAILABLE, http: 503 },
  DEADLINE: { grpc: GrpcCode.DEADLINE_EXCEEDED, http: 504 },
  CANCELLED: { grpc: GrpcCode.CANCELLED, http: 499 },
  RESOURCE_EXHAUSTED: { grpc: GrpcCode.RESOURCE_EXHAUSTED, http: 429 },
  NO_SPACE: { grpc: GrpcCode.RESOURCE_EXHAUSTED, http: 500 },
  NOT_IMPLEMENTED: { grpc: GrpcCode.UNIMPLEMENTED, http: 501 },
  START_FAILED: { grpc: GrpcCode.FAILED_PRECONDITION, http: 400 },
  DATA_LOSS: { grpc: GrpcCode.DATA_LOSS, http: 500 },
  INTERNAL: { grpc: GrpcCode.INTERNAL, http: 500 },
} as const satisfies Record<string, { grpc: GrpcCode; http: number }>;

/** A stable, machine-readable cause. New ones are added to the table above and never renamed. */
export type Reason = keyof typeof table;

export const allReasons: readonly Reason[] = Object.keys(table) as Reason[];

export function isReason(value: unknown): value is Reason {
  return typeof value === "string" && Object.hasOwn(table, value);
}

export function grpcCodeOf(reason: Reason): GrpcCode {
  return table[reason].grpc;
}

/** The HTTP status for an error (Docker's Engine API, "Error handling": the body is `{"message": …}`). */
export function httpStatus(error: { readonly reason: Reason }): number {
  return table[error.reason].http;
}

/** The reason assumed for a bare gRPC status, such as a server not ours or the transport itself gives. */
export function reasonOfCode(code: number): Reason {
  switch (code) {
    case GrpcCode.CANCELLED:
      return "CANCELLED";
    case GrpcCode.INVALID_ARGUMENT:
    case GrpcCode.OUT_OF_RANGE:
      return "INVALID_ARGUMENT";
    case GrpcCode.DEADLINE_EXCEEDED:
      return "DEADLINE";
    case GrpcCode.NOT_FOUND:
      return "NOT_FOUND";
    case GrpcCode.ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case GrpcCode.PERMISSION_DENIED:
      return "FORBIDDEN";
    case GrpcCode.RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case GrpcCode.FAILED_PRECONDITION:
    case GrpcCode.ABORTED:
      return "CONFLICT";
    case GrpcCode.UNIMPLEMENTED:
      return "NOT_IMPLEMENTED";
    case GrpcCode.UNAVAILABLE:
      return "UNAVAILABLE";
    case GrpcCode.DATA_LOSS:
      return "DATA_LOSS";
    case GrpcCode.UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    default:
      return "INTERNAL";
  }
}
