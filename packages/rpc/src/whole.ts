import { BerthError } from "@berth/errors";

/**
 * Bodies that a caller streams. When a caller breaks off, its transport may end the stream of requests before it resets it, so that the
 * server sees an end like any other. So an empty piece stands behind a body that is whole, and nowhere else.
 */
const end = Buffer.alloc(0);

/** What a caller sends: the pieces, and that they were all. */
export async function* markEnd(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) if (piece.length > 0) yield piece;
  yield end;
}

/** What a server reads: the pieces before the mark. @throws CANCELLED when there is none */
export async function* untilEnd(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    if (piece.length === 0) return;
    yield piece;
  }
  throw new BerthError("CANCELLED", "the caller left in the middle of what it sent");
}
