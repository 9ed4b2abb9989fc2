import { BerthError, decodeDetails, fromGrpc, GrpcCode, isBerthError } from "@berth/errors";
import { ClientError, type Metadata } from "nice-grpc";
import { detailsKey, reasonKey } from "../trailers.ts";
import { UnaryFailure } from "./unary.ts";

/** What a call may be given. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** ms; 30 s for unary calls unless given, none for streams. Infinity for none. */
  timeoutMs?: number | undefined;
}

export const defaultTimeoutMs = 30_000;

/** What the server said at the end of a call. */
interface Trailer {
  (key: typeof reasonKey): string | undefined;
  (key: typeof detailsKey): Uint8Array | undefined;
}

/** One call's deadline, cancellation and trailer, and what its failure means. */
export class CallScope {
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #timeoutMs: number;
  readonly #method: string;
  #controller: AbortController | undefined;
  #cut: (() => void) | undefined;
  #trailer: Metadata | undefined;
  #timedOut = false;

  constructor(method: string, { signal, timeoutMs = Number.POSITIVE_INFINITY }: CallOptions) {
    this.#method = method;
    this.#outer = signal;
    this.#timeoutMs = timeoutMs;
    if (signal?.aborted !== true) signal?.addEventListener("abort", this.#abort, { once: true });
    if (Number.isFinite(timeoutMs)) this.#timer = setTimeout(this.#expire, timeoutMs);
  }

  readonly #abort = () => {
    this.#cut?.();
    this.#controller?.abort(this.#outer?.reason);
  };

  readonly #expire = () => {
    this.#timedOut = true;
    this.#abort();
  };

  get aborted(): boolean {
    return this.#timedOut || this.#outer?.aborted === true;
  }

  /** Calls `cut` when the caller gives up or the time is over; one at a time. For what needs no signal of its own. */
  onAbort(cut: (() => void) | undefined): void {
    this.#cut = cut;
  }

  /** Made when it is asked for: a unary call over a connection that stands does not. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.aborted) this.#controller.abort(this.#outer?.reason);
    }
    return this.#controller.signal;
  }

  /** For nice-grpc. */
  options() {
    return {
      signal: this.signal,
      onTrailer: (trailer: Metadata) => {
        this.#trailer = trailer;
      },
    };
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }

  /** The error to throw for what the transport threw: the server's own, where it came that far. */
  failure(error: unknown): unknown {
    if (this.#timedOut) {
      return new BerthError("DEADLINE", `${this.#method} did not answer within ${this.#timeoutMs / 1000} s`);
    }
    if (isBerthError(error)) return error;
    if (this.#outer?.aborted)
      return new BerthError("CANCELLED", `${this.#method} was cancelled`, {}, { cause: this.#outer.reason });
    if (error instanceof UnaryFailure) {
      const { code, details, metadata } = error.status;
      return this.#failed(code, details, (key) => metadata.get(key).at(0) as never, error);
    }
    if (!(error instanceof ClientError)) return error;
    return this.#failed(
      error.code,
      error.details,
      (key) => this.#trailer?.get(key as typeof detailsKey) as never,
      error,
    );
  }

  #failed(code: number, message: string, trailer: Trailer, cause: Error): BerthError {
    const reason = trailer(reasonKey);
    // grpc-js has no other word for a request that it could not send.
    if (reason === undefined && message.startsWith(unsendable))
      return new BerthError("INVALID_ARGUMENT", message.slice(unsendable.length), {}, { cause });
    if (reason === undefined && isLoss(code, message)) {
      return new BerthError("UNAVAILABLE", `${this.#method}: the connection to the service was lost`, {}, { cause });
    }
    return fromGrpc(code, message, reason, decodeDetails(trailer(detailsKey)));
  }
}

const unsendable = "Request message serialization failure: ";

/**
 * What ends a call without a word of the server's, whose errors all have a reason. grpc-js calls a connection that breaks while it
 * writes (EPIPE) an internal error, and has nothing but words to tell it by; a session that its server destroys is "cancelled".
 */
function isLoss(code: number, message: string): boolean {
  if (code === GrpcCode.INTERNAL) return message.startsWith("Received RST_STREAM");
  return code === GrpcCode.UNAVAILABLE || code === GrpcCode.CANCELLED;
}
