import type { IncomingMessage } from "node:http";

/** bytes; gRPC messages are bounded to 1 MiB for bulk data, and small ones cost more than they carry. */
const pieceSize = 256 * 1024;

/**
 * A request's body in larger pieces than the 64 KiB that sockets give. Stopping early leaves the connection as it is: the answer still
 * has to go there.
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
