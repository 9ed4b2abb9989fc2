import { BerthError, encodeDetails, GrpcCode, type GrpcFailure, toGrpc } from "@berth/errors";
import type { Logger } from "@berth/log";
import type { CompatServiceDefinition, ServiceImplementation } from "nice-grpc";
import { type CallContext, ServerError } from "nice-grpc";
import { Malformed } from "../codec.ts";
import { detailsKey, reasonKey } from "../trailers.ts";
import type { OpenCall, OpenCalls } from "./calls.ts";
import type { Guard } from "./guard.ts";
import type { MethodMetrics, Metrics } from "./metrics.ts";

/** A service's calls. One that is left out answers UNIMPLEMENTED. */
export type Implementation<D extends CompatServiceDefinition> = Partial<ServiceImplementation<D>>;

export interface ServiceShape {
  fullName: string;
  methods: Record<string, { name: string; requestStream: boolean; responseStream: boolean }>;
}

export type Handler = (request: unknown, context: CallContext) => unknown;

/**
 * Handles a method whose messages stay encoded: a request, or all of a stream's, for an answer (in a promise) or a stream of them, as
 * the method has it.
 */
export type RawHandler = (
  request: Buffer | AsyncIterable<Buffer>,
  context: CallContext,
) => Promise<Buffer> | AsyncIterable<Buffer>;

/** As {@link Implementation}, for whoever passes messages on. */
export type RawImplementation<D extends { methods: object }> = Partial<Record<keyof D["methods"], RawHandler>>;

/** Puts around every method of `implementation`: who may call, errors to status and trailer, metrics, a log of what is our own fault. */
export function wrapImplementation(
  definition: ServiceShape,
  implementation: object,
  { log, metrics, calls, guard }: { log: Logger; metrics: Metrics; calls: OpenCalls; guard: Guard },
): Record<string, Handler> {
  const wrapped: Record<string, Handler> = {};
  for (const [key, { name, responseStream, requestStream }] of Object.entries(definition.methods)) {
    const found = (implementation as Record<string, Handler | undefined>)[key];
    const handler = checking(found?.bind(implementation) ?? unimplemented(name), requestStream);
    const streaming = responseStream || requestStream;
    const measured = metrics.method(definition.fullName, name);
    const where = { service: definition.fullName, method: name };
    const begin = (outer: CallContext) => new Begun(outer, calls.begin(outer.signal, streaming), measured, where, log);
    const admit = (context: Begun) => {
      context.call.peer = guard.admit(context, definition.fullName, name);
    };
    wrapped[key] = responseStream ? wrapStream(handler, begin, admit) : wrapUnary(handler, begin, admit);
  }
  return wrapped;
}

/** Refuses what is no message of the method's. @throws INVALID_ARGUMENT */
function checking(handler: Handler, requestStream: boolean): Handler {
  const checked = (request: unknown) => {
    if (request instanceof Malformed) throw request.error;
    return request;
  };
  async function* checkedAll(requests: AsyncIterable<unknown>) {
    for await (const request of requests) yield checked(request);
  }
  return requestStream
    ? (requests, context) => handler(checkedAll(requests as AsyncIterable<unknown>), context)
    : (request, context) => handler(checked(request), context);
}

/** One call under way, as its handler's context: the transport's, but with the call's own signal. */
class Begun implements CallContext {
  readonly call: OpenCall;
  readonly #outer: CallContext;
  readonly #metrics: MethodMetrics;
  readonly #start: number;
  readonly #where: object;
  readonly #log: Logger;

  constructor(outer: CallContext, call: OpenCall, metrics: MethodMetrics, where: object, log: Logger) {
    this.#outer = outer;
    this.call = call;
    this.#metrics = metrics;
    this.#start = metrics.begin();
    this.#where = where;
    this.#log = log;
  }

  get signal(): AbortSignal {
    return this.call.signal;
  }
  get metadata() {
    return this.#outer.metadata;
  }
  get peer() {
    return this.#outer.peer;
  }
  get header() {
    return this.#outer.header;
  }
  get trailer() {
    return this.#outer.trailer;
  }
  sendHeader(): void {
    this.#outer.sendHeader();
  }

  end(code: number): void {
    this.call.end();
    this.#metrics.end(this.#start, code);
  }

  fail(error: unknown): { code: number; error: ServerError } {
    return failCall(this.call.reason ?? error, this.#outer, this.#where, this.#log);
  }
}

type Begin = (context: CallContext) => Begun;
type Admit = (context: Begun) => void;

function wrapUnary(handler: Handler, begin: Begin, admit: Admit): Handler {
  return async (request, outer) => {
    const context = begin(outer);
    let code: number = GrpcCode.OK;
    try {
      admit(context);
      return await context.call.wait(handler(request, context) as Promise<unknown>);
    } catch (thrown) {
      const failure = context.fail(thrown);
      code = failure.code;
      throw failure.error;
    } finally {
      context.end(code);
    }
  };
}

function wrapStream(handler: Handler, begin: Begin, admit: Admit): Handler {
  return async function* (request, outer) {
    const context = begin(outer);
    // A caller that goes away ends the generator where it stands.
    let code: number = GrpcCode.CANCELLED;
    let iterator: AsyncIterator<unknown> | undefined;
    try {
      admit(context);
      iterator = (handler(request, context) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      for (;;) {
        const { done, value } = await context.call.wait(iterator.next());
        if (done) break;
        yield value;
      }
      code = GrpcCode.OK;
    } catch (thrown) {
      const failure = context.fail(thrown);
      code = failure.code;
      throw failure.error;
    } finally {
      context.end(code);
      // Not awaited: a handler that is stuck, or ignores its signal, must not keep the call.
      if (code !== GrpcCode.OK) iterator?.return?.()?.then(undefined, () => {});
    }
  };
}

function failCall(thrown: unknown, context: CallContext, call: object, log: Logger) {
  const failure: GrpcFailure = toGrpc(thrown);
  if (failure.code === GrpcCode.INTERNAL) log.error({ ...call, err: thrown }, "a call failed");
  context.trailer.set(reasonKey, failure.reason);
  if (Object.keys(failure.details).length > 0) context.trailer.set(detailsKey, encodeDetails(failure.details));
  return { code: failure.code, error: new ServerError(failure.code, failure.message) };
}

function unimplemented(method: string): Handler {
  return () => {
    throw new BerthError("NOT_IMPLEMENTED", `${method} is not implemented yet`);
  };
}
