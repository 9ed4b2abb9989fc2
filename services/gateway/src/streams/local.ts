import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { BerthError, errorMessage } from "@berth/errors";
import type { LocalStream } from "../rpc/types.ts";

/** bytes; the monitor's answers are short (native/isolation/PROTOCOL.md). */
const maxAnswer = 65_536;
/** ms that a client is given to take its last bytes and close after the container's stream has ended. */
const lingerMs = 2_000;
/**
 * bytes read at once. Larger than Node's 64 KiB default means fewer turns of the event loop for each megabyte; measured
 * here, beyond 256 KiB nothing is gained.
 */
export const chunkSize = 256 * 1024;

/** Connects to the container's monitor and sends the request. What follows is one line of JSON, then the stream. */
export async function openLocal(local: LocalStream, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path: local.socket, allowHalfOpen: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  } catch (error) {
    socket.destroy();
    throw new BerthError(
      "UNAVAILABLE",
      `the container's monitor does not answer: ${errorMessage(error)}`,
      {},
      { cause: error },
    );
  }
  socket.on("error", () => socket.destroy());
  socket.write(local.request);
  return socket;
}

export interface MonitorError {
  /** errno's name */
  code?: string;
  call?: string;
  object?: string;
  message?: string;
}

export interface MonitorAnswer {
  ok: boolean;
  exitCode?: number;
  error?: MonitorError;
}

/** Reads the monitor's line; the bytes behind it stay on the socket, which is left paused. */
export async function readAnswer(socket: Socket): Promise<MonitorAnswer> {
  let seen: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await nextChunk(socket);
    if (chunk === undefined) throw new BerthError("UNAVAILABLE", "the container's monitor closed the connection");
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const end = seen.indexOf(10);
    if (end !== -1) {
      if (end + 1 < seen.length) socket.unshift(seen.subarray(end + 1));
      return JSON.parse(seen.subarray(0, end).toString("utf8")) as MonitorAnswer;
    }
    if (seen.length > maxAnswer) throw new BerthError("INTERNAL", "the container's monitor sent no answer");
  }
}

function nextChunk(socket: Socket): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const end = (chunk: Buffer | undefined) => {
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      resolve(chunk);
    };
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk !== null) end(chunk);
    };
    const onEnd = () => end(undefined);
    if (socket.destroyed || socket.readableEnded) {
      end(undefined);
      return;
    }
    socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
    onReadable();
  });
}

/**
 * Joins two connections byte for byte until the container's side ends. Each side's end of writing is passed on alone
 * (half-close); a side that does not read stops the other one's writer.
 */
export function splice(client: Duplex, container: Duplex): Promise<void> {
  return new Promise((resolve) => {
    client.pipe(container);
    container.pipe(client);
    client.once("close", () => container.destroy());
    const finish = () => {
      container.destroy();
      lingerThenClose(client).then(resolve, resolve);
    };
    container.once("end", finish);
    container.once("close", finish);
  });
}

/**
 * Ends our side and waits for the client's: closing a connection with unread input makes the kernel throw away output
 * that the client has not read yet.
 */
export function lingerThenClose(client: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (client.destroyed) {
      resolve();
      return;
    }
    const close = () => {
      clearTimeout(timer);
      client.destroy();
      resolve();
    };
    let timer: NodeJS.Timeout | undefined;
    client.unpipe();
    client.on("data", () => {});
    client.once("close", close);
    client.end(() => {
      timer = setTimeout(close, lingerMs);
      if (client.readableEnded) close();
      else client.once("end", close);
    });
  });
}
