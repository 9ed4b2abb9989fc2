import type { IncomingMessage } from "node:http";
import { BerthError } from "@berth/errors";
import { type Decoder, parseJson } from "../json/decode.ts";

/** bytes; the largest real create body (compose, with many labels and mounts) is well below 1 MiB. */
const maxJsonBody = 4 * 1024 * 1024;
/** ms without a byte of a JSON body. Streams of images have no such bound: their source may be slow. */
const idleTimeout = 20_000;

/** Collects a small body. @throws INVALID_ARGUMENT when it is too large, DEADLINE when the client stalls */
export async function readBody(req: IncomingMessage, limit = maxJsonBody): Promise<Buffer> {
  const announced = Number(req.headers["content-length"] ?? 0);
  if (announced > limit) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  const stalled = new BerthError("DEADLINE", `no data for ${idleTimeout / 1000} seconds in the middle of a request`);
  try {
    timer = setTimeout(() => req.destroy(stalled), idleTimeout);
    for await (const chunk of req as AsyncIterable<Buffer>) {
      timer.refresh();
      size += chunk.length;
      if (size > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size);
}

/**
 * Reads a JSON body as Docker does: the content type must be application/json where there is a body, one value and
 * nothing after it.
 * @throws INVALID_ARGUMENT
 */
export async function readJson<T>(req: IncomingMessage, decoder: Decoder<T>): Promise<T> {
  return decodeBody(req, await readBody(req), decoder);
}

/** As {@link readJson} for calls whose body may be left out (undefined then). */
export async function readOptionalJson<T>(req: IncomingMessage, decoder: Decoder<T>): Promise<T | undefined> {
  const body = await readBody(req);
  return body.length === 0 ? undefined : decodeBody(req, body, decoder);
}

export function decodeBody<T>(req: IncomingMessage, body: Buffer, decoder: Decoder<T>): T {
  checkContentType(req.headers["content-type"], body.length);
  return parseJson(body.toString("utf8"), decoder);
}

function checkContentType(header: string | undefined, length: number): void {
  if (length === 0 && (header === undefined || header === "")) return;
  const type = (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "application/json") return;
  throw new BerthError(
    "INVALID_ARGUMENT",
    header === undefined || header === ""
      ? "malformed Content-Type header (): mime: no media type"
      : `unsupported Content-Type header (${type}): must be 'application/json'`,
  );
}

function tooLarge(limit: number): BerthError {
  return new BerthError("INVALID_ARGUMENT", `request body is larger than ${limit} bytes`);
}
