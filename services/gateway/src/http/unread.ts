// What a client still sends when its answer is ready. Closing a connection with unread bytes resets it, and the client, which is
// still writing, never reads why. So little is read before the answer, as Go's net/http does, and what is more after it.
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** bytes of an unwanted body that are worth reading before the answer: the connection can be used again. */
const skimmedBytes = 256 * 1024;
/** ms that they may take to come. */
const skimMs = 500;
/** bytes read and dropped after the answer: an archive that a client sends to its end before it reads anything. */
const lingerBytes = 256 * 1024 * 1024;
/** ms that they may take. */
const lingerMs = 5_000;

/** True for a request that announces a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

/** Reads what is left of a small body before the answer is given. Resolves when it is over, or too much to wait for. */
export async function skim(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed || Number(req.headers["content-length"] ?? 0) > skimmedBytes) return;
  let size = 0;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, skimMs);
    const count = (chunk: Buffer) => {
      size += chunk.length;
      if (size > skimmedBytes) end();
    };
    function end(): void {
      clearTimeout(timer);
      req.off("data", count).off("end", end).off("close", end);
      resolve();
    }
    req.on("error", () => {});
    req.on("data", count).once("end", end).once("close", end);
    req.resume();
  });
}

/**
 * Lets the connection end after this request's answer only when its body is over too. node:http ends a connection by
 * `destroySoon`, which would close it as soon as the answer is written.
 */
export function endAfterBody(req: IncomingMessage): void {
  const { socket } = req;
  socket.destroySoon = () => {
    if (req.complete || socket.destroyed) {
      Socket.prototype.destroySoon.call(socket);
      return;
    }
    socket.end();
    req.once("end", () => socket.destroy());
    dropRest(req);
  };
}

/** Reads and drops the rest of an answered request's body, within bounds; past them the connection is closed. */
export function dropRest(req: IncomingMessage): void {
  if (!req.complete && !req.destroyed) drop(req, req.socket);
}

/** Ends a connection that is HTTP's no more, with `last` as its last bytes, and lets the other side finish. */
export function endGently(socket: Duplex, last: string): void {
  if (socket.destroyed || socket.writableEnded) return;
  if (socket.readableEnded) {
    socket.end(last, () => socket.destroy());
    return;
  }
  socket.end(last);
  socket.once("end", () => socket.destroy());
  drop(socket, socket);
}

function drop(source: Duplex | IncomingMessage, connection: Duplex): void {
  let size = 0;
  const timer = setTimeout(() => connection.destroy(), lingerMs);
  // A gateway that is asked to end does not wait for it.
  timer.unref();
  source.on("error", () => {});
  source.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > lingerBytes) connection.destroy();
  });
  source.once("end", () => clearTimeout(timer));
  connection.once("close", () => clearTimeout(timer));
  source.resume();
}
