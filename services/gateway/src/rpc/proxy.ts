import { BerthError } from "@berth/errors";
import type { RawClient, RawHandler, RawImplementation } from "@berth/rpc";

/** Who answers a call of the gateway's gRPC, one for each method of a service. */
export type Routes<D extends Definition> = Record<keyof D["methods"], Route>;
export type Route = Passed | Gathered | Refused;

/** The node that answers; undefined for a service that is nobody's node's. */
export type Hop = string | undefined;

/** One instance answers: its messages go back and forth as they are. */
export interface Passed {
  /** Finds out who, from the request, or the first of a stream. @throws NO_SUCH_CONTAINER, UNAVAILABLE, … */
  to(request: Buffer, signal: AbortSignal): Hop | Promise<Hop>;
  /** What is sent instead of a call's one request. */
  change?(request: Buffer, signal: AbortSignal): Buffer | Promise<Buffer>;
  /** Told of the one answer to a call, before its caller is. */
  answered?(request: Buffer, answer: Buffer, hop: Hop): void;
}

/** Several nodes answer, and are made one answer of. */
export interface Gathered {
  /** `ask` passes the request on to one node. */
  gather(request: Buffer, ask: (nodeId: string) => Promise<Buffer>, signal: AbortSignal): Promise<Buffer>;
}

/** For the engine's own services alone, at the node itself. */
export interface Refused {
  /** Ends the sentence "X.Y is not served by a gateway: …". */
  refused: string;
}

interface Definition {
  name: string;
  methods: Record<string, { name: string; requestStream: boolean; responseStream: boolean }>;
}

/** A call has the deadline that its caller gave it, which comes as the end of its signal. */
const timeoutMs = Number.POSITIVE_INFINITY;

/**
 * Serves a service by passing its calls on. Streams are read from one side as fast as the other takes them; a caller that leaves takes the
 * call to the node with it; a node's failure is the caller's, with its reason and details.
 */
export function passOn<D extends Definition>(
  definition: D,
  routes: Routes<D>,
  connect: (hop: Hop) => RawClient<D>,
): RawImplementation<D> {
  const handlers = Object.entries<Route>(routes).map(([key, route]) => {
    const method = definition.methods[key];
    if (method === undefined) throw new Error(`${definition.name} has no method ${key}`);
    const call: Send = (hop, request, signal) =>
      connect(hop)[key as keyof D["methods"]](request, { signal, timeoutMs });
    return [key, handlerOf(route, `${definition.name}.${method.name}`, method, call)];
  });
  return Object.fromEntries(handlers) as RawImplementation<D>;
}

type Requests = Buffer | AsyncIterable<Buffer>;
type Send = (hop: Hop, request: Requests, signal: AbortSignal) => Promise<Buffer> | AsyncIterable<Buffer>;

function handlerOf(
  route: Route,
  name: string,
  { responseStream }: { responseStream: boolean },
  send: Send,
): RawHandler {
  if ("refused" in route) {
    return () => {
      throw new BerthError("NOT_IMPLEMENTED", `${name} is not served by a gateway: ${route.refused}`);
    };
  }
  if ("gather" in route) {
    return (request, { signal }) =>
      route.gather(request as Buffer, (node) => send(node, request, signal) as Promise<Buffer>, signal);
  }
  return responseStream
    ? (requests, { signal }) => passStream(route, requests, send, signal)
    : (requests, { signal }) => passCall(route, requests, send, signal);
}

async function passCall(route: Passed, requests: Requests, send: Send, signal: AbortSignal): Promise<Buffer> {
  const { first, hop, whole } = await begin(route, requests, signal);
  const answer = await (send(hop, whole, signal) as Promise<Buffer>);
  route.answered?.(first, answer, hop);
  return answer;
}

async function* passStream(route: Passed, requests: Requests, send: Send, signal: AbortSignal): AsyncGenerator<Buffer> {
  const { hop, whole } = await begin(route, requests, signal);
  yield* send(hop, whole, signal) as AsyncIterable<Buffer>;
}

/** What there is of the request so far, who answers it, and what they are sent. */
async function begin(route: Passed, requests: Requests, signal: AbortSignal) {
  if (Buffer.isBuffer(requests)) {
    const hop = await route.to(requests, signal);
    return { first: requests, hop, whole: (await route.change?.(requests, signal)) ?? requests };
  }
  const iterator = requests[Symbol.asyncIterator]();
  const { value, done } = await iterator.next();
  // A caller that says nothing is told so by whoever would have answered.
  const first = done === true ? Buffer.alloc(0) : value;
  return { first, hop: await route.to(first, signal), whole: done === true ? none() : followed(first, iterator) };
}

async function* none(): AsyncGenerator<Buffer> {}

async function* followed(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => rest };
}
