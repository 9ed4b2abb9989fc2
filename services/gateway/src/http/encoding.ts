import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createDeflateRaw, createGzip } from "node:zlib";

export type Encoding = "gzip" | "deflate";

/** What clients may send of "Accept-Encoding" before it is not looked at any further. */
const maxCodings = 32;

/**
 * The coding in which a client wants an answer (RFC 9110, 12.5.3), of those that Docker has; undefined for as it is. As there, "identity"
 * does not count, however much it is preferred, and of two that are liked as well gzip is taken.
 */
export function encodingFor(accepted: string | undefined): Encoding | undefined {
  const specs = (accepted ?? "")
    .split(",")
    .slice(0, maxCodings)
    .map((text) => {
      const [value = "", ...parameters] = text
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/);
      const quality = parameters.find((parameter) => parameter.startsWith("q="));
      return { value, quality: quality === undefined ? 1 : Number(quality.slice(2)) || 0 };
    });
  let best: Encoding | undefined;
  let most = 0;
  for (const offer of ["gzip", "deflate"] as const) {
    for (const { value, quality } of specs) {
      if (quality <= most || (value !== "*" && value !== offer)) continue;
      most = quality;
      best = offer;
    }
  }
  return best;
}

/**
 * A stream whose bytes arrive at `target` encoded; `done` resolves when that has ended. Docker's "deflate" is the bare format (RFC 1951),
 * without the frame that the name stands for elsewhere.
 */
export function encoded(encoding: Encoding, target: Writable): { input: Writable; done: Promise<void> } {
  const input = encoding === "gzip" ? createGzip() : createDeflateRaw();
  return { input, done: pipeline(input, target) };
}
