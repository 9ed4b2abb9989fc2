import type { Socket } from "node:net";
import type { DeepPartial, StreamResponse } from "@berth/api/containers";

/** Input of a stream as both kinds of request carry it. */
export type Input = { $case: "stdin"; value: Uint8Array } | { $case: "closeStdin" } | { $case: "start" };

/** Bulk chunks are sent as they come; small ones that wait together go in one message up to this size. */
const maxChunk = 256 * 1024;

/**
 * Bridges a monitor's stream and a call both ways, with the pressure of either side felt by the other: nothing is read from
 * the socket before the caller took the last chunk, no message before the socket took the last input.
 */
export async function* bridge(
  socket: Socket,
  head: Buffer,
  input: AsyncIterator<Input>,
  signal: AbortSignal,
): AsyncGenerator<DeepPartial<StreamResponse>> {
  const abort = () => socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  // The container may end before the client stops writing: that is no failure of the stream.
  socket.on("error", () => {});
  const feeding = feed(socket, input);
  if (signal.aborted) abort();
  try {
    if (head.length > 0) yield data(head);
    for await (const chunk of chunks(socket)) yield data(chunk);
  } finally {
    signal.removeEventListener("abort", abort);
    socket.destroy();
    feeding.catch(() => undefined);
  }
}

const data = (value: Buffer): DeepPartial<StreamResponse> => ({ message: { $case: "data", value } });

async function* chunks(socket: Socket): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of socket) {
      const buffer = chunk as Buffer;
      for (let at = 0; at < buffer.length; at += maxChunk) yield buffer.subarray(at, at + maxChunk);
    }
  } catch {
    // Reset by a monitor that ended: the same as its end.
  }
}

async function feed(socket: Socket, input: AsyncIterator<Input>): Promise<void> {
  for (;;) {
    const { value, done } = await input.next().catch(() => ({ value: undefined, done: true as const }));
    if (done || value === undefined) return;
    if (value.$case === "closeStdin") return void socket.end();
    if (value.$case !== "stdin" || !socket.writable) continue;
    if (!socket.write(value.value)) await drained(socket);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.once("drain", done);
    socket.once("close", done);
  });
}
