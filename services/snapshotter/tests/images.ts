/** Images made of a few files, as layers that a snapshotter can unpack. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { BerthError } from "@berth/errors";
import { diffLayer } from "@berth/isolation";
import { chainIds } from "@berth/oci";
import type { BlobSource } from "../src/domain/blobs.ts";
import type { Layer } from "../src/domain/snapshotter.ts";

export interface Image {
  readonly layers: readonly Layer[];
  /** Of the top layer. */
  readonly chainId: string;
}

const digest = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** One layer for each record of path to content, bottom first, gzipped into `blobs`. */
export async function makeImage(
  blobs: Map<string, Buffer>,
  contents: readonly Readonly<Record<string, string | Buffer>>[],
): Promise<Image> {
  const made: { blob: string; size: number; diffId: string }[] = [];
  for (const files of contents) {
    const tar = await tarOf(files);
    const blob = gzipSync(tar, { level: 1 });
    blobs.set(digest(blob), blob);
    made.push({ blob: digest(blob), size: blob.length, diffId: digest(tar) });
  }
  const chain = chainIds(made.map(({ diffId }) => diffId));
  const layers = made.map((layer, index) => ({ ...layer, chainId: chain[index] as string }));
  return { layers, chainId: chain.at(-1) as string };
}

async function tarOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const directory = mkdtempSync(join(tmpdir(), "berth-image-"));
  try {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(directory, dirname(path)), { recursive: true });
      writeFileSync(join(directory, path), content);
    }
    // The same content gives the same digests, whenever it is made.
    execFileSync("find", [directory, "-exec", "touch", "-hd", "@1600000000", "{}", "+"]);
    const chunks: Buffer[] = [];
    for await (const chunk of diffLayer({ upper: directory, whiteouts: false })) chunks.push(chunk);
    return Buffer.concat(chunks);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Blobs in memory, as an image store elsewhere would give them. */
export const memoryBlobs = (blobs: ReadonlyMap<string, Buffer>): BlobSource => ({
  async *read(blob, signal) {
    const bytes = blobs.get(blob);
    if (bytes === undefined) throw new BerthError("NOT_FOUND", `no blob ${blob}`);
    for (let at = 0; at < bytes.length; at += 256 * 1024) {
      signal.throwIfAborted();
      yield { kind: "data", data: bytes.subarray(at, at + 256 * 1024) };
    }
  },
});
