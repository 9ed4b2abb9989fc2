import type { LaneCall, LaneDefinition, LaneServiceImplementation } from "@berth/api/lane";
import { GrpcCode } from "@berth/errors";
import { type CallContext, Metadata, ServerError, type ServiceDefinition } from "nice-grpc";
import { maxMessageBytes } from "../options.ts";
import { detailsKey, reasonKey } from "../trailers.ts";
import { type Peer, peerKey, whenRetired } from "./guard.ts";
import type { Handler, ServiceShape } from "./wrap.ts";

/** What one lane may have under way; a call more is refused, and so made the ordinary way. */
const maxCalls = 1024;
/** What a message of a lane has beside the answer in it, at most. */
const envelopeBytes = 64;

type Answer = Parameters<typeof LaneDefinition.methods.open.responseType.fromPartial>[0];

/** A unary method: both codecs, and its handler. */
interface UnaryMethod {
  decode(bytes: Uint8Array): unknown;
  encode(message: unknown): ArrayBuffer;
  handle: Handler;
}

/** The server's side of lanes (rpc/v1/lane.proto): the same handlers as for ordinary calls. */
export class Lanes {
  readonly #methods = new Map<string, UnaryMethod>();
  readonly #open = new Set<Lane>();
  #stopping = false;

  /** Adds the unary methods of a service whose handlers are `wrapped`. */
  add(shape: ServiceShape, codecs: ServiceDefinition, wrapped: Record<string, Handler>): void {
    for (const [key, { requestStream, responseStream }] of Object.entries(shape.methods)) {
      const codec = codecs[key];
      const handle = wrapped[key];
      if (requestStream || responseStream || codec === undefined || handle === undefined) continue;
      this.#methods.set(codec.path, {
        decode: (bytes) => codec.requestDeserialize(bytes),
        encode: (message) => codec.responseSerialize(message) as unknown as ArrayBuffer,
        handle,
      });
    }
  }

  get open(): number {
    return this.#open.size;
  }

  /** Begins no more calls; each lane ends with the last of its calls under way. */
  stop(): void {
    this.#stopping = true;
    for (const lane of this.#open) lane.wake();
  }

  readonly implementation: LaneServiceImplementation = {
    open: (calls, context) => this.#serve(calls, context),
  };

  async *#serve(calls: AsyncIterable<LaneCall>, context: CallContext) {
    let retired = false;
    const stopping = () => this.#stopping || retired;
    const lane = new Lane((path) => (stopping() ? undefined : this.#methods.get(path)), stopping, context);
    this.#open.add(lane);
    const peer = context.metadata.get(peerKey);
    const retire = () => {
      retired = true;
      lane.wake();
    };
    const stopWaiting = peer === undefined ? undefined : whenRetired(JSON.parse(peer) as Peer, retire);
    try {
      lane.read(calls);
      yield* lane.answers();
    } finally {
      stopWaiting?.();
      this.#open.delete(lane);
      lane.cut();
    }
  }
}

class Lane {
  readonly #find: (path: string) => UnaryMethod | undefined;
  readonly #stopping: () => boolean;
  readonly #outer: CallContext;
  /** Whoever opened the lane makes the calls in it. */
  readonly #caller: Metadata;
  readonly #underway = new Map<number, AbortController>();
  readonly #answers: Answer[] = [];
  #wake: () => void = () => {};
  #callerIsDone = false;

  constructor(find: (path: string) => UnaryMethod | undefined, stopping: () => boolean, outer: CallContext) {
    this.#find = find;
    this.#stopping = stopping;
    this.#outer = outer;
    this.#caller = Metadata();
    const peer = outer.metadata.get(peerKey);
    if (peer !== undefined) this.#caller.set(peerKey, peer);
  }

  wake(): void {
    this.#wake();
  }

  /** Takes calls until the caller has no more, or is gone. */
  read(calls: AsyncIterable<LaneCall>): void {
    const reading = async () => {
      for await (const call of calls) this.#take(call);
    };
    reading()
      // The caller is gone: its answers have nobody to go to.
      .catch(() => this.cut())
      .finally(() => {
        this.#callerIsDone = true;
        this.#wake();
      });
  }

  /** The answers in the order in which they are ready; ends when no more can come. */
  async *answers(): AsyncGenerator<Answer> {
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) {
        yield answer;
        continue;
      }
      if (this.#underway.size === 0 && (this.#callerIsDone || this.#stopping())) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Breaks off what is under way: nobody waits for it. */
  cut(): void {
    for (const controller of this.#underway.values()) controller.abort();
  }

  #take({ id, path, message, cancelled }: LaneCall): void {
    if (cancelled) {
      this.#underway.get(id)?.abort();
      return;
    }
    const method = this.#find(path);
    // Answers that are not read yet count as well: a caller that does not read can't pile them up.
    const full = this.#underway.size + this.#answers.length >= maxCalls;
    if (method === undefined || full || this.#underway.has(id)) {
      this.#answer({ id, refused: true });
      return;
    }
    const controller = new AbortController();
    this.#underway.set(id, controller);
    void this.#handle(method, message, controller.signal).then((answer) => {
      this.#underway.delete(id);
      this.#answer({ id, ...answer });
    });
  }

  #answer(answer: Answer): void {
    this.#answers.push(answer);
    this.#wake();
  }

  async #handle({ decode, encode, handle }: UnaryMethod, message: Buffer, signal: AbortSignal): Promise<Answer> {
    const trailer = Metadata();
    const { peer } = this.#outer;
    const context = { signal, trailer, peer, metadata: this.#caller, header: Metadata(), sendHeader() {} };
    try {
      const encoded = Buffer.from(encode(await handle(decode(message), context)));
      if (encoded.length + envelopeBytes <= maxMessageBytes) return { message: encoded };
      return failed(GrpcCode.RESOURCE_EXHAUSTED, `the answer is larger than ${maxMessageBytes} bytes`);
    } catch (error) {
      if (!(error instanceof ServerError)) return failed(GrpcCode.INTERNAL, String(error));
      return failed(error.code, error.details, trailer.get(reasonKey), trailer.get(detailsKey));
    }
  }
}

function failed(code: number, message: string, reason = "", details?: Uint8Array): Answer {
  return { failure: { code, message, reason, details: Buffer.from(details ?? []) } };
}
