import { Readable, Writable } from "node:stream";
import type { CloseStdin, StreamResponse } from "@berth/api/containers";
import { BerthError } from "@berth/errors";
import { FrameReader, type OutputName } from "./frames.ts";

/** @internal */
type Request<Start> = {
  message:
    | { $case: "start"; value: Start }
    | { $case: "stdin"; value: Buffer }
    | { $case: "closeStdin"; value: CloseStdin };
};
type Open<Start> = (
  requests: AsyncIterable<Request<Start>>,
  options: { signal: AbortSignal },
) => AsyncIterable<StreamResponse>;

/** bytes of a message of input: what the engine sends at a time as well */
const maxChunk = 256 * 1024;

/**
 * A container's streams, or an exec's. Output that is not read stops the program that writes it, once the buffers on the way are full: who
 * wants one of the two outputs alone should call `resume()` on the other.
 */
export class ContainerStreams {
  /** Ending it is the end of the program's input. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Without a byte where there is a terminal: its output is one stream. */
  readonly stderr: Readable;
  readonly tty: boolean;
  /** Settles when the container's side has ended and all of its output is in `stdout` and `stderr`. @throws what broke the streams off */
  readonly done: Promise<void>;
  readonly #ending: AbortController;

  private constructor(
    answers: AsyncIterator<StreamResponse>,
    first: StreamResponse,
    input: Input,
    ending: AbortController,
  ) {
    const { message } = first;
    this.tty = message?.$case === "ready" && message.value.tty;
    this.#ending = ending;
    this.stdin = input.writable;
    const outputs = { stdout: new Output(), stderr: new Output() };
    this.stdout = outputs.stdout;
    this.stderr = outputs.stderr;
    const head = message?.$case === "data" ? message.value : Buffer.alloc(0);
    this.done = pump(answers, head, new FrameReader(this.tty), outputs).finally(() => {
      ending.abort();
      input.writable.destroy();
    });
    // Whoever reads the streams hears of it there.
    this.done.catch(() => undefined);
  }

  /**
   * Resolves once the engine has the streams: nothing that is written from then on is missed. @throws what the engine says
   * @internal
   */
  static async open<Start>(
    open: Open<Start>,
    start: Start,
    signal: AbortSignal | undefined,
  ): Promise<ContainerStreams> {
    const ending = new AbortController();
    const signals = signal === undefined ? [ending.signal] : [signal, ending.signal];
    const input = new Input();
    const answers = open(input.requests(start, ending.signal), { signal: AbortSignal.any(signals) });
    const iterator = answers[Symbol.asyncIterator]();
    const first = await iterator.next();
    if (first.done) throw new BerthError("UNAVAILABLE", "the engine ended the streams before they began");
    return new ContainerStreams(iterator, first.value, input, ending);
  }

  /** Leaves; the program goes on. */
  close(): void {
    this.#ending.abort();
  }
}

async function pump(
  answers: AsyncIterator<StreamResponse>,
  head: Buffer,
  frames: FrameReader,
  outputs: Record<OutputName, Output>,
): Promise<void> {
  const take = async (data: Buffer) => {
    for (const piece of frames.read(data)) await outputs[piece.stream].fill(piece.data);
  };
  try {
    await take(head);
    for (;;) {
      const { value, done } = await answers.next();
      if (done) break;
      if (value.message?.$case === "data") await take(value.message.value);
    }
    for (const output of Object.values(outputs)) output.push(null);
  } catch (error) {
    for (const output of Object.values(outputs)) output.destroy(error as Error);
    throw error;
  }
}

/** A stream that is filled from outside, no faster than it is read. */
class Output extends Readable {
  #room: (() => void) | undefined;

  override _read(): void {
    this.#room?.();
    this.#room = undefined;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read();
    // An error that nobody listens for would end the process; `done` tells of it as well.
    done(this.listenerCount("error") === 0 ? null : error);
  }

  /** Resolves when more may come. What was destroyed takes everything and keeps nothing. */
  fill(data: Buffer): Promise<void> | void {
    if (this.destroyed || this.push(data)) return;
    return new Promise((resolve) => {
      this.#room = resolve;
    });
  }
}

/** What is written becomes the requests of a call. */
class Input {
  readonly writable: Writable;
  #chunk: Buffer | undefined;
  #taken: (() => void) | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor() {
    this.writable = new Writable({
      write: (chunk: Buffer | string, encoding, done) => {
        this.#chunk = typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk;
        this.#taken = done;
        this.#wake?.();
      },
      final: (done) => {
        this.#ended = true;
        this.#wake?.();
        done();
      },
    });
  }

  async *requests<Start>(start: Start, signal: AbortSignal): AsyncGenerator<Request<Start>> {
    yield { message: { $case: "start", value: start } };
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
    let told = false;
    while (!signal.aborted) {
      if (this.#chunk !== undefined) {
        yield* this.#take(this.#chunk);
      } else if (this.#ended && !told) {
        told = true;
        yield { message: { $case: "closeStdin", value: {} } };
      } else {
        // At the end too: the end of the requests must not be taken for that of the call.
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  *#take(chunk: Buffer): Generator<{ message: { $case: "stdin"; value: Buffer } }> {
    for (let at = 0; at < chunk.length; at += maxChunk) {
      yield { message: { $case: "stdin", value: chunk.subarray(at, at + maxChunk) } };
    }
    this.#chunk = undefined;
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }
}
