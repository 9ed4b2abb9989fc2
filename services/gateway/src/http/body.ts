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
    // Whoever sends too much is still to be told so.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
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
 * nothing after it; no body at all is an empty object.
 * @throws INVALID_ARGUMENT
 */
export async function readJson<T>(req: IncomingMessage, decoder: Decoder<T>): Promise<T> {
  const body = await readBody(req);
  checkContentType(req.headers["content-type"], body.length);
  return body.length === 0 ? decoder.read(decoder.zero, "") : parseJson(body.toString("utf8"), decoder);
}

/** Reads a body that must be there, as {@link readJson} does. @throws INVALID_ARGUMENT */
export function decodeBody<T>(req: Pick<IncomingMessage, "headers">, body: Buffer, decoder: Decoder<T>): T {
  checkContentType(req.headers["content-type"], body.length);
  return parseJson(body.toString("utf8"), decoder);
}

function checkContentType(header = "", length = 0): void {
  if (length === 0 && header === "") return;
  const { type, problem } = parseMediaType(header);
  if (problem !== undefined) throw invalid(`malformed Content-Type header (${header}): mime: ${problem}`);
  if (type === "application/json") return;
  throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const parameter = new RegExp(`^;\\s*${token}\\s*=\\s*(?:${token}|"(?:[^"\\\\]|\\\\.)*")\\s*`);

/** A media type with parameters; problems in the words of Go's mime.ParseMediaType. */
function parseMediaType(header: string): { type: string; problem?: string } {
  const end = header.indexOf(";");
  const type = (end === -1 ? header : header.slice(0, end)).trim().toLowerCase();
  const problem = typeProblem(type);
  if (problem !== undefined) return { type, problem };
  let rest = end === -1 ? "" : header.slice(end);
  while (rest !== "" && !/^;?\s*$/.test(rest)) {
    const match = parameter.exec(rest);
    if (match === null) return { type, problem: "invalid media parameter" };
    rest = rest.slice(match[0].length);
  }
  return { type };
}

function typeProblem(type: string): string | undefined {
  const [, main, slash, sub = "", rest = ""] = new RegExp(`^(${token})(?:(/)(${token})?)?(.*)$`, "s").exec(type) ?? [];
  if (main === undefined) return "no media type";
  if (slash === undefined) return rest === "" ? undefined : "expected slash after first token";
  if (sub === "") return "expected token after slash";
  return rest === "" ? undefined : "unexpected content after media subtype";
}

function tooLarge(limit: number): BerthError {
  return invalid(`request body is larger than ${limit} bytes`);
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
