import type { IncomingMessage } from "node:http";

/** bytes; gRPC messages are bounded to 1 MiB for bulk data, and small ones cost more than they carry. */
const pieceSize = 256 * 1024;
/** bytes of an unwanted body that are worth reading before the answer, as Go's server does. */
const skimmedBytes = 256 * 1024;
/** ms that they may take to come. */
const skimMs = 1_000;
/** ms that a client has to send the rest of a body that nobody wants, before it is cut off. */
const discardMs = 20_000;

/**
 * A request's body in larger pieces than the 64 KiB that sockets give. Stopping early leaves the connection as it is: the answer still
 * has to go there (see {@link discardRest}).
 */
export async function* pieces(req: IncomingMessage): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let size = 0;
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    size += chunk.length;
    if (size < pieceSize) continue;
    yield waiting.length === 1 ? chunk : Buffer.concat(waiting, size);
    waiting = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(waiting, size);
}

/**
 * Drops a body that is nearly over before the answer is given: a client that is still writing when its connection is closed
 * never reads why. Resolves when the body is over, or too long to wait for.
 */
export async function skim(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed) return;
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

/** Reads and drops what is left of a body, so that a client that is still sending gets to read its answer. */
export function discardRest(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return;
  const timer = setTimeout(() => req.destroy(), discardMs);
  timer.unref();
  req.once("close", () => clearTimeout(timer));
  req.on("error", () => {});
  req.resume();
}
