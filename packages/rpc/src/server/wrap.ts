import { BerthError, encodeDetails, GrpcCode, type GrpcFailure, toGrpc } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { CompatServiceDefinition, ServiceImplementation } from "nice-grpc";
import { type CallContext, ServerError } from "nice-grpc";
import type { Metrics } from "./metrics.ts";

/** A service's calls. One that is left out answers UNIMPLEMENTED. */
export type Implementation<D extends CompatServiceDefinition> = Partial<ServiceImplementation<D>>;

export interface ServiceShape {
  fullName: string;
  methods: Record<string, { name: string; requestStream: boolean; responseStream: boolean }>;
}

type Handler = (request: unknown, context: CallContext) => unknown;

export const reasonKey = "berth-reason";
export const detailsKey = "berth-details-bin";

/** Puts around every method of `implementation`: errors to status and trailer, metrics, a log of what is our own fault. */
export function wrapImplementation(
  definition: ServiceShape,
  implementation: object,
  log: Logger,
  metrics: Metrics,
): Record<string, Handler> {
  const wrapped: Record<string, Handler> = {};
  for (const [key, method] of Object.entries(definition.methods)) {
    const call = { service: definition.fullName, method: method.name };
    const found = (implementation as Record<string, Handler | undefined>)[key];
    const handler = found?.bind(implementation) ?? unimplemented(call.method);
    const fail = (error: unknown, context: CallContext) => failCall(error, context, call, log);
    const begin = () => metrics.begin(call.service, call.method);
    wrapped[key] = method.responseStream ? wrapStream(handler, begin, fail) : wrapUnary(handler, begin, fail);
  }
  return wrapped;
}

type Begin = () => (code: number) => void;
type Fail = (error: unknown, context: CallContext) => { failure: GrpcFailure; error: ServerError };

function wrapUnary(handler: Handler, begin: Begin, fail: Fail): Handler {
  return async (request, context) => {
    const end = begin();
    try {
      const response = await handler(request, context);
      end(GrpcCode.OK);
      return response;
    } catch (thrown) {
      const { failure, error } = fail(thrown, context);
      end(failure.code);
      throw error;
    }
  };
}

function wrapStream(handler: Handler, begin: Begin, fail: Fail): Handler {
  return async function* (request, context) {
    const end = begin();
    // A caller that goes away ends the generator where it stands.
    let code: number = GrpcCode.CANCELLED;
    try {
      yield* handler(request, context) as AsyncIterable<unknown>;
      code = GrpcCode.OK;
    } catch (thrown) {
      const { failure, error } = fail(thrown, context);
      code = failure.code;
      throw error;
    } finally {
      end(code);
    }
  };
}

function failCall(thrown: unknown, context: CallContext, call: object, log: Logger) {
  const failure = context.signal.aborted && !isOurs(thrown) ? cancelled : toGrpc(thrown);
  if (failure.code === GrpcCode.INTERNAL) log.error({ ...call, err: thrown }, "a call failed");
  context.trailer.set(reasonKey, failure.reason);
  if (Object.keys(failure.details).length > 0) context.trailer.set(detailsKey, encodeDetails(failure.details));
  return { failure, error: new ServerError(failure.code, failure.message) };
}

const cancelled: GrpcFailure = {
  code: GrpcCode.CANCELLED,
  message: "the call was cancelled",
  reason: "CANCELLED",
  details: {},
};

const isOurs = (error: unknown): boolean => error instanceof Error && error.name === "BerthError";

function unimplemented(method: string): Handler {
  return () => {
    throw new BerthError("NOT_IMPLEMENTED", `${method} is not implemented yet`);
  };
}
