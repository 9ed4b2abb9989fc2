import { BerthError } from "@berth/errors";
import type { Peer } from "./guard.ts";

/** Calls that stream may go on for ever (`logs -f`, `wait`): a stopping service gives them this long, ms. */
const streamGraceMs = 1_000;

/**
 * The calls under way in a server. The transport's own forced end leaves sessions open when channelz is off, and gives
 * the caller no reason; so a stopping server ends its calls itself.
 */
export class OpenCalls {
  readonly #open = new Set<OpenCall>();

  /** Ends what a node has under way with certificates issued until then (ms since the epoch). */
  endOf(nodeId: string, until: number, reason: (nodeName: string) => unknown): void {
    for (const call of [...this.#open])
      if (call.peer?.nodeId === nodeId && call.peer.issuedAt <= until) call.cut(reason(call.peer.nodeName));
  }

  begin(signal: AbortSignal, streaming: boolean): OpenCall {
    const call = new OpenCall(signal, streaming, () => this.#open.delete(call));
    this.#open.add(call);
    return call;
  }

  /** Ends streams soon and the others after `ms`, as UNAVAILABLE. Gives what calls that off. */
  endAfter(ms: number): () => void {
    const cut = (which: (call: OpenCall) => boolean) => {
      for (const call of [...this.#open]) {
        if (which(call)) call.cut(new BerthError("UNAVAILABLE", "the service is stopping"));
      }
    };
    const timers = [
      setTimeout(() => cut(({ streaming }) => streaming), Math.min(streamGraceMs, ms)),
      setTimeout(() => cut(() => true), ms),
    ];
    return () => {
      for (const timer of timers) clearTimeout(timer);
    };
  }
}

/** One call: its signal aborts when the caller goes away or the server stops, and so does every wait in it. */
export class OpenCall {
  readonly streaming: boolean;
  /** Who called, from another host. */
  peer: Peer | undefined;
  readonly #outer: AbortSignal;
  readonly #ended: () => void;
  #controller: AbortController | undefined;
  #reason: unknown;
  #reject: ((reason: unknown) => void) | undefined;

  constructor(outer: AbortSignal, streaming: boolean, ended: () => void) {
    this.streaming = streaming;
    this.#outer = outer;
    this.#ended = ended;
    if (outer.aborted) this.#gone();
    // A single answer that nobody waits for any more does no harm: only what may go on for long is broken off.
    else if (streaming) outer.addEventListener("abort", this.#gone, { once: true });
  }

  /** Made when it is asked for: most calls are over before anybody could want to break them off. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
      else if (!this.streaming) this.#outer.addEventListener("abort", this.#gone, { once: true });
    }
    return this.#controller.signal;
  }

  /** What cut the call, if anything did: then that is the call's error, whatever the handler made of it. */
  get reason(): unknown {
    return this.#reason;
  }

  cut(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    this.#reject?.(reason);
  }

  /** Waits for the handler, but not longer than the call lives, even if the handler ignores its signal. */
  wait<T>(promise: Promise<T>): Promise<T> {
    // Not Promise.race with one lasting promise: that would keep a reaction for every message of a stream.
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      if (this.#reason !== undefined) reject(this.#reason);
      promise.then(resolve, reject);
    });
  }

  end(): void {
    if (this.streaming || this.#controller !== undefined) this.#outer.removeEventListener("abort", this.#gone);
    this.#ended();
  }

  readonly #gone = () => this.cut(new BerthError("CANCELLED", "the call was cancelled"));
}
