import type { Readable, Writable } from "node:stream";
import { BerthError } from "@berth/errors";
import type { LocalStream, OpenStreamResponse, StreamResponse } from "../rpc/types.ts";

type Input = { $case: "stdin"; value: Buffer } | { $case: "closeStdin"; value: object };
export type StreamRequest<Start> = { message: { $case: "start"; value: Start } | Input };
type Opener<Start> = (
  requests: AsyncIterable<StreamRequest<Start>>,
  options: { signal: AbortSignal },
) => AsyncIterable<StreamResponse>;

/** A container's stream: the way past gRPC for a gateway on the container's host, or the stream itself. */
export type Joined = { local: LocalStream } | { remote: RemoteStream };

/** bytes of output waiting for a slow client before we stop reading from the supervisor. */
const highWater = 1024 * 1024;

/** What OpenAttach and OpenExec answer. */
export function local({ stream }: OpenStreamResponse): Joined {
  if (stream === undefined) throw new BerthError("INTERNAL", "the supervisor did not say where the stream is");
  return { local: stream };
}

/**
 * Opens Attach or StartExec and waits for the first answer.
 * @throws what the supervisor throws
 */
export async function join<Start>(open: Opener<Start>, start: Start, signal: AbortSignal): Promise<Joined> {
  const ending = new AbortController();
  const input = new InputSlot();
  const answers = open(requestsOf(start, input, ending.signal), { signal: AbortSignal.any([signal, ending.signal]) });
  const iterator = answers[Symbol.asyncIterator]();
  const first = await iterator.next();
  const message = first.done === true ? undefined : first.value.message;
  return { remote: new RemoteStream(iterator, message, input, () => ending.abort()) };
}

async function* requestsOf<Start>(
  start: Start,
  slot: InputSlot,
  signal: AbortSignal,
): AsyncGenerator<StreamRequest<Start>> {
  yield { message: { $case: "start", value: start } };
  const source = await slot.source;
  if (source === undefined) return;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (signal.aborted) return;
      yield { message: { $case: "stdin", value: chunk } };
    }
    yield { message: { $case: "closeStdin", value: {} } };
  } catch {
    // The client broke off: the call is aborted by its signal.
  }
  // Kept open: the end of the requests must not be taken for the end of the call.
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** Where the request generator waits for what it is to send. */
class InputSlot {
  readonly source: Promise<Readable | undefined>;
  #resolve: (source: Readable | undefined) => void = () => {};

  constructor() {
    this.source = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  open(source: Readable): void {
    this.#resolve(source);
  }

  close(): void {
    this.#resolve(undefined);
  }
}

/** A container's stream through gRPC, for a client on another host than the container. */
export class RemoteStream {
  readonly #answers: AsyncIterator<StreamResponse>;
  readonly #first: StreamResponse["message"];
  readonly #input: InputSlot;
  readonly #stop: () => void;

  constructor(
    answers: AsyncIterator<StreamResponse>,
    first: StreamResponse["message"],
    input: InputSlot,
    stop: () => void,
  ) {
    this.#answers = answers;
    this.#first = first;
    this.#input = input;
    this.#stop = stop;
  }

  /** Pumps until the container's side ends. @throws what ended the call, if it was not its good end */
  async pump(input: Readable, output: Writable): Promise<void> {
    this.#input.open(input);
    try {
      if (this.#first?.$case === "data") await write(output, this.#first.value);
      for (;;) {
        const { done, value } = await this.#answers.next();
        if (done === true) return;
        if (value.message?.$case === "data") await write(output, value.message.value);
        if (output.destroyed) return;
      }
    } finally {
      this.#stop();
    }
  }

  /** Waits for the end of a call that has no stream (a detached exec). */
  async finish(): Promise<void> {
    this.#input.close();
    try {
      while ((await this.#answers.next()).done !== true);
    } finally {
      this.#stop();
    }
  }
}

/** Writes, and waits when the reader is behind. */
export function write(output: Writable, data: Buffer): Promise<void> | void {
  if (output.destroyed) return;
  if (output.write(data) || output.writableLength < highWater) return;
  return new Promise((resolve) => {
    const done = () => {
      output.off("drain", done).off("close", done).off("error", done);
      resolve();
    };
    output.on("drain", done).on("close", done).on("error", done);
  });
}
