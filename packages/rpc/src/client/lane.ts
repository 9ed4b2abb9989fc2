import { type LaneAnswer, LaneDefinition } from "@berth/api/lane";
import { GrpcCode } from "@berth/errors";
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import type { Channel } from "nice-grpc";
import { withLeanCodec } from "../codec.ts";
import { detailsKey, reasonKey } from "../trailers.ts";
import type { CallScope } from "./call.ts";
import { Outflow } from "./outflow.ts";
import { callUnary, gaveUp, UnaryFailure } from "./unary.ts";

/** Larger requests go the ordinary way: they would hold up the small ones behind them. */
const maxRequestBytes = 256 * 1024;
/** More calls than this at a time go the ordinary way. Half of what a server takes. */
const maxCalls = 512;
/** A caller that says one or two things and leaves needs no lane. */
const callsBeforeLane = 3;
/** What a call needs of the connection beside its message, about. */
const framingBytes = 200;

const codec = withLeanCodec(LaneDefinition)["open"] as unknown as {
  path: string;
  requestSerialize(message: object): Uint8Array;
  responseDeserialize(bytes: Uint8Array): LaneAnswer;
};

/** At once where the connection stands, which is nearly always. */
export type Connect = (scope: CallScope) => Channel | Promise<Channel>;

/** Makes unary calls: through a lane (rpc/v1/lane.proto) where one stands and takes the call, else each by itself. */
export class UnaryCalls {
  readonly #lanes = new WeakMap<Channel, Lane>();
  readonly #before = new WeakMap<Channel, number>();
  readonly #outflows = new WeakMap<Channel, Outflow>();

  /**
   * `message` and the answer are encoded. `connect` gives a connection that stands, and is asked again for a call that its
   * server did not begin, as it was about to stop. @throws UnaryFailure, with CANCELLED when the scope cuts it
   */
  async call(path: string, message: Buffer, scope: CallScope, connect: Connect): Promise<Buffer> {
    const standing = connect(scope);
    const channel = standing instanceof Promise ? await standing : standing;
    const outflow = this.#outflow(channel);
    const bytes = message.length + framingBytes;
    const turn = outflow.take(bytes);
    if (turn !== undefined) await turn;
    const { period } = outflow;
    try {
      const lane = message.length > maxRequestBytes ? undefined : this.#lane(channel);
      if (lane === undefined) return await callUnary(channel, path, message, scope);
      return (await lane.call(path, message, scope)) ?? (await callUnary(await connect(scope), path, message, scope));
    } finally {
      outflow.give(bytes, period);
    }
  }

  #outflow(channel: Channel): Outflow {
    let outflow = this.#outflows.get(channel);
    if (outflow === undefined) this.#outflows.set(channel, (outflow = new Outflow()));
    return outflow;
  }

  /** A channel that is closed goes on while a call is open in it, and a lane is one. */
  leave(channel: Channel): void {
    this.#lanes.get(channel)?.leave();
    this.#before.delete(channel);
  }

  #lane(channel: Channel): Lane | undefined {
    const before = this.#before.get(channel) ?? 0;
    if (before < callsBeforeLane) {
      this.#before.set(channel, before + 1);
      return undefined;
    }
    let lane = this.#lanes.get(channel);
    if (lane === undefined) {
      lane = new Lane(channel, (unknown) => {
        this.#lanes.delete(channel);
        // A server that has no lanes is not asked again.
        this.#before.set(channel, unknown ? Number.NEGATIVE_INFINITY : 0);
      });
      this.#lanes.set(channel, lane);
    }
    return lane;
  }
}

interface Waiting {
  resolve(answer: Buffer | undefined): void;
  reject(error: unknown): void;
}

class Lane {
  readonly #stream: ReturnType<Channel["createCall"]>;
  readonly #waiting = new Map<number, Waiting>();
  /** Messages that wait for the one before to be on its way: the transport takes one at a time. */
  readonly #outbox: Buffer[] = [];
  #writing = false;
  #lastId = 0;
  #left = false;
  readonly #ended: (unknown: boolean) => void;

  /** `ended` is told whether the server does not know of lanes. */
  constructor(channel: Channel, ended: (unknown: boolean) => void) {
    this.#ended = ended;
    this.#stream = channel.createCall(codec.path, Number.POSITIVE_INFINITY, null, null, null);
    this.#stream.start(new Metadata(), {
      onReceiveMetadata: () => {},
      onReceiveMessage: (bytes: Buffer | null) => {
        if (bytes === null) return;
        this.#answered(codec.responseDeserialize(bytes));
        this.#stream.startRead();
      },
      onReceiveStatus: (status) => this.#end(status),
    });
    this.#stream.startRead();
  }

  /** Undefined: the call was not begun, and is to be made the ordinary way. */
  call(path: string, message: Buffer, scope: CallScope): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      if (scope.aborted) {
        reject(new UnaryFailure(gaveUp()));
        return;
      }
      if (this.#left || this.#waiting.size >= maxCalls) {
        resolve(undefined);
        return;
      }
      const id = this.#nextId();
      this.#waiting.set(id, { resolve, reject });
      scope.onAbort(() => {
        reject(new UnaryFailure(gaveUp()));
        this.#send({ id, cancelled: true });
      });
      this.#send({ id, path, message });
    }).finally(() => scope.onAbort(undefined)) as Promise<Buffer | undefined>;
  }

  /** No further calls; those under way go on to their end. */
  leave(): void {
    this.#left = true;
    if (this.#waiting.size === 0 && !this.#writing) this.#stream.halfClose();
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) % 0x1_0000_0000;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }

  #send(call: object): void {
    this.#outbox.push(Buffer.from(codec.requestSerialize(call)));
    if (!this.#writing) this.#write();
  }

  #write(): void {
    const next = this.#outbox.shift();
    this.#writing = next !== undefined;
    if (next !== undefined) this.#stream.sendMessageWithContext({ callback: () => this.#write() }, next);
    else if (this.#left) this.leave();
  }

  #answered({ id, message, failure, refused }: LaneAnswer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (refused) waiting?.resolve(undefined);
    else if (failure === undefined) waiting?.resolve(message);
    else waiting?.reject(new UnaryFailure(statusOf(failure)));
    if (this.#left) this.leave();
  }

  #end(status: StatusObject): void {
    this.#left = true;
    const unknown = status.code === GrpcCode.UNIMPLEMENTED;
    this.#ended(unknown);
    for (const { resolve, reject } of this.#waiting.values()) {
      if (unknown) resolve(undefined);
      else reject(new UnaryFailure({ ...status, code: GrpcCode.UNAVAILABLE }));
    }
    this.#waiting.clear();
  }
}

function statusOf({ code, message, reason, details }: NonNullable<LaneAnswer["failure"]>): StatusObject {
  const metadata = new Metadata();
  metadata.set(reasonKey, reason);
  if (details.length > 0) metadata.set(detailsKey, details);
  return { code, details: message, metadata };
}
