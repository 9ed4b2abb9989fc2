import { expect, it } from "vitest";
import { encodingFor } from "../src/http/encoding.ts";

// What Docker 28.5 answers to each.
it.each([
  [undefined, undefined],
  ["", undefined],
  ["gzip", "gzip"],
  ["deflate", "deflate"],
  ["gzip, deflate", "gzip"],
  ["deflate, gzip", "gzip"],
  ["deflate;q=1, gzip;q=0.5", "deflate"],
  ["*", "gzip"],
  ["gzip;q=0", undefined],
  ["identity", undefined],
  ["br", undefined],
  ["deflate, gzip;q=0", "deflate"],
  ["identity;q=1, gzip;q=0.5", "gzip"],
  ["GZIP ; q=0.5", "gzip"],
  ["gzip;q=x", undefined],
])("%s is answered with %s", (accepted, encoding) => expect(encodingFor(accepted)).toBe(encoding));
