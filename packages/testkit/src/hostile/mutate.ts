// Requests that no honest client sends, by a seed.
import type { Random } from "../soak/random.ts";
import type { Endpoint } from "./endpoints.ts";

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

const names = [
  "",
  "x",
  "..",
  "../..",
  "a/b",
  "%00",
  "-",
  "a".repeat(300),
  "sha256:zz",
  "é",
  "a b",
  "a:b:c",
  "@",
  "[",
  "0",
];
const texts = [
  "",
  "x",
  "-1",
  "0",
  "1.5",
  "1e30",
  "99999999999999999999",
  "true",
  "null",
  "[]",
  "{}",
  '{"a":["b"]}',
  '{"label":["["],"name":["(((("],"id":["*"]}',
  '{"status":[1]}',
  "a".repeat(5_000),
  "\u0000",
  "../../etc/passwd",
  "%",
  "💥",
  "9".repeat(400),
];
const values: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e300,
  2 ** 63,
  "x",
  "",
  "9".repeat(1_000),
  [],
  [null],
  [[[]]],
  {},
  { "": null },
  { a: { b: { c: [] } } },
  ["a", 1, {}, null],
];

export function hostileRequest(endpoint: Endpoint, random: Random): HostileRequest {
  const name = encodeURIComponent(random.pick(names));
  const version = random.pick(["", "", "/v1.24", "/v1.41", "/v1.51", "/v1.99", "/v9.9.9", "/v"]);
  const query = endpoint.query
    .filter(() => random.next() < 0.6)
    .map((key) => `${key}=${encodeURIComponent(random.pick(texts))}`)
    .join("&");
  const path = `${version}${endpoint.path.replace("{name}", name)}${query === "" ? "" : `?${query}`}`;
  const body = endpoint.body === undefined ? strayBody(random) : badBody(endpoint.body, random);
  const type = random.next() < 0.85 ? "application/json" : random.pick(["text/plain", "application/json;;", "/", ""]);
  const headers: Record<string, string> = body === undefined ? {} : { "content-type": type };
  if (random.next() < 0.05) headers["x-registry-auth"] = random.pick(texts).replace(/[^\x20-\x7e]/g, "?");
  if (random.next() < 0.05) headers["idempotency-key"] = "k".repeat(random.between(1, 600));
  return { method: endpoint.method, path, headers, body };
}

/** Calls that take no body are given one now and then. */
function strayBody(random: Random): Buffer | undefined {
  return random.next() < 0.7 ? undefined : Buffer.from(random.pick(["{", "[]", "\u0000", "x".repeat(70_000), "null"]));
}

function badBody(sample: Readonly<Record<string, unknown>>, random: Random): Buffer {
  const kind = random.between(0, 7);
  const good = JSON.stringify(sample);
  if (kind === 0) return Buffer.from(good.slice(0, random.between(0, good.length)));
  if (kind === 1)
    return Buffer.from(random.pick(["", " ", "null", "[]", "{}{}", '"x"', "\ufeff{}", "{a:1}", "NaN", "1e999"]));
  if (kind === 2) return Buffer.from(`{"a":${"[".repeat(random.between(1, 200_000))}`);
  if (kind === 3) return Buffer.concat([Buffer.from('{"Image":"'), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from('"}')]);
  if (kind === 4) return Buffer.from(`{${`${JSON.stringify(Object.keys(sample)[0])}:"x",`.repeat(2_000)}"z":1}`);
  return Buffer.from(JSON.stringify(replaced(sample, random)));
}

/** The same with one value somewhere inside replaced by one of another kind. */
function replaced(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.next() < 0.15) return random.pick(values);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(values);
  const at = random.pick(keys);
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === at ? replaced(item, random) : item));
  const inside = value as Record<string, unknown>;
  return { ...inside, [at]: replaced(inside[at], random), Unknown: { a: [1, 2] } };
}
