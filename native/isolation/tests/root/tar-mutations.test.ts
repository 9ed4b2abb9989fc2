/** A short run of what tests/fuzz/tar_apply.cc does at length: archives with bytes flipped, cut, doubled. The same ones each time. */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isNativeError } from "../../ts/index.ts";
import { tar } from "../support/tar-builder.ts";
import { openTarBed, type TarBed } from "./tar-bed.ts";

let bed: TarBed;
beforeAll(async () => {
  bed = await openTarBed("/dev/shm");
});
afterAll(() => bed.close());

/** xorshift32 */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const seeds = [
  tar(
    { name: "a/", mode: 0o2755 },
    { name: "a/f", data: "x".repeat(700), pax: { path: "a/long", mtime: "1.5", "SCHILY.xattr.user.x": "y" } },
    { name: "a/h", type: "1", link: "a/long" },
    { name: "s", type: "2", link: "../.." },
    { name: "s/x", data: "1" },
    { name: "a/.wh.f" },
    { name: "a/.wh..wh..opq" },
    { name: "d", type: "3", major: 1, minor: 3 },
    { name: "sparse", data: "1234", pax: { "GNU.sparse.map": "0,2,6,2", "GNU.sparse.size": "10" } },
  ),
  execFileSync("sh", [
    "-c",
    "d=$(mktemp -d) && cd $d && truncate -s 200000 s && echo x >> s && mkdir -p l && tar -cS --format=gnu s l; rm -r $d",
  ]),
];

/** Offsets of what a header says that matters, and bytes that mean something there. */
const fields = [0, 100, 124, 135, 156, 157, 345, 386, 482, 483];
const types = "0157xgLKS/.\0";

/** Header numbers and types more often than content; the checksum is put right half of the time, or nothing else would be reached. */
function mutate(seed: Buffer, next: (below: number) => number): Buffer {
  let bytes = Buffer.from(seed);
  for (let change = 0; change <= next(4); change++) {
    const block = next(bytes.length / 512) * 512;
    const at = block + (next(3) === 0 ? next(512) : (fields[next(fields.length)] ?? 0));
    bytes[at] = next(2) === 0 ? next(256) : types.charCodeAt(next(types.length));
    if (next(2) === 0) {
      bytes.fill(0x20, block + 148, block + 156);
      const sum = bytes.subarray(block, block + 512).reduce((total, byte) => total + byte, 0);
      bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, block + 148);
    }
  }
  if (next(8) === 0) bytes = bytes.subarray(0, next(bytes.length));
  return bytes;
}

test("2,000 damaged archives end with an error or a layer, inside, and soon", async () => {
  const next = random(20_240_601);
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const archive = mutate(seeds[round % seeds.length] as Buffer, next);
    try {
      await bed.apply(archive, { maxBytes: 1 << 24, maxEntries: 100 });
    } catch (error) {
      expect(isNativeError(error), String(error)).toBe(true);
      refused++;
    }
    if (round % 50 === 0) await bed.clear();
  }
  expect(refused).toBeGreaterThan(200);
  expect(refused).toBeLessThan(2000);
}, 60_000);
