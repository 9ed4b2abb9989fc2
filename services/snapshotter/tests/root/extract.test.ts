import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { inheritDirectories } from "@berth/isolation";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { BlobPart, BlobSource } from "../../src/domain/blobs.ts";
import { extractLayer } from "../../src/domain/extract.ts";
import { makeImage } from "../images.ts";

let work: string;
let target: string;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "berth-extract-"));
  target = join(work, "target");
});
beforeEach(() => {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
});
afterAll(() => rmSync(work, { recursive: true }));

const sourceOf = (parts: () => AsyncGenerator<BlobPart>): BlobSource => ({ read: parts });
const options = (signal = new AbortController().signal) => ({
  target,
  maxBytes: 1 << 26,
  onProgress: () => {},
  signal,
});
const content = Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => (i * 2654435761) >>> 24));
const pause = () => new Promise((resolve) => setTimeout(resolve, 5));

async function layerOf() {
  const blobs = new Map<string, Buffer>();
  const { layers } = await makeImage(blobs, [{ "d/big": content }]);
  const [layer] = layers;
  if (layer === undefined) throw new Error("no layer");
  return { layer, bytes: blobs.get(layer.blob) as Buffer };
}

test("a layer is unpacked while its file grows", async () => {
  const { layer, bytes } = await layerOf();
  const path = join(work, "growing");
  writeFileSync(path, "");
  let early = false;
  const source = sourceOf(async function* () {
    yield { kind: "path", path, complete: false };
    for (let at = 0; at < bytes.length; at += 400_000) {
      appendFileSync(path, bytes.subarray(at, at + 400_000));
      yield { kind: "available", size: Math.min(at + 400_000, bytes.length) };
      await pause();
    }
    for (let wait = 0; wait < 100 && !early; wait++) {
      early = lstatSync(join(target, "d/big"), { throwIfNoEntry: false }) !== undefined;
      await pause();
    }
  });
  await extractLayer(source, layer, options());
  expect(early).toBe(true);
  expect(readFileSync(join(target, "d/big")).equals(content)).toBe(true);
});

test("a source that fails on the way, or a caller that leaves, ends it with that reason", async () => {
  const { layer, bytes } = await layerOf();
  const failing = sourceOf(async function* () {
    yield { kind: "data", data: bytes.subarray(0, 100_000) };
    throw new BerthError("DATA_LOSS", "the upload turned out wrong");
  });
  await expect(extractLayer(failing, layer, options())).rejects.toMatchObject({
    message: "the upload turned out wrong",
  });
  const controller = new AbortController();
  const silent: BlobSource = {
    async *read(_, signal) {
      yield { kind: "data", data: bytes.subarray(0, 100_000) };
      signal.throwIfAborted();
      await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    },
  };
  const leaving = extractLayer(silent, layer, options(controller.signal));
  controller.abort(new BerthError("CANCELLED", "enough"));
  await expect(leaving).rejects.toMatchObject({ reason: "CANCELLED", message: "enough" });
});

test("a layer that fails stops its source; too large a one is refused", async () => {
  const { layer, bytes } = await layerOf();
  let stopped = false;
  const endless: BlobSource = {
    async *read(_, signal) {
      try {
        for (;;) {
          yield { kind: "data", data: Buffer.alloc(4096, "x") };
          signal.throwIfAborted();
          await pause();
        }
      } finally {
        stopped = true;
      }
    },
  };
  await expect(extractLayer(endless, layer, options())).rejects.toMatchObject({ reason: "DATA_LOSS" });
  expect(stopped).toBe(true);
  const whole = sourceOf(async function* () {
    yield { kind: "data", data: bytes };
  });
  await expect(extractLayer(whole, layer, { ...options(), maxBytes: 1 << 20 })).rejects.toMatchObject({
    reason: "RESOURCE_EXHAUSTED",
  });
  await expect(extractLayer(whole, { ...layer, diffId: layer.blob }, options())).rejects.toMatchObject({
    reason: "DATA_LOSS",
  });
});

test("directories a layer only passes through keep what they were below", async () => {
  const lower = join(work, "lower");
  mkdirSync(join(lower, "a/b"), { recursive: true });
  chmodSync(join(lower, "a"), 0o700);
  chmodSync(join(lower, "a/b"), 0o2770);
  chmodSync(lower, 0o711);
  mkdirSync(join(target, "a/b/c"), { recursive: true });
  await inheritDirectories(target, [lower], ["", "a", "a/b", "a/b/c"]);
  const mode = (path: string) => lstatSync(join(target, path)).mode & 0o7777;
  expect([mode(""), mode("a"), mode("a/b"), mode("a/b/c")]).toEqual([0o711, 0o700, 0o2770, 0o755]);
});
