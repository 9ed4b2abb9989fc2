import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BlobStore } from "../src/domain/blobs/blob-store.ts";
import { type ReadOptions, type ReadPart, readBlob } from "../src/domain/blobs/read.ts";
import type { Upload } from "../src/domain/blobs/upload.ts";

const sha = (bytes: Buffer): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const signal = new AbortController().signal;
const reading = (more: Partial<ReadOptions> = {}): ReadOptions => ({
  offset: 0,
  length: 0,
  follow: false,
  wantPath: false,
  signal,
  ...more,
});

let dir: string;
let store: BlobStore;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-blobs-"));
  store = await BlobStore.open(dir);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function begin(digest: string, size = 0): Promise<Upload> {
  const begun = await store.begin(digest, size, signal);
  if ("present" in begun) throw new Error("the blob is there");
  return begun.upload;
}

async function collect(
  parts: AsyncIterable<ReadPart>,
): Promise<{ data: Buffer; paths: string[]; available: number[] }> {
  const data: Buffer[] = [];
  const paths: string[] = [];
  const available: number[] = [];
  for await (const part of parts) {
    if ("data" in part) data.push(part.data);
    else if ("info" in part) paths.push(part.info.path);
    else available.push(part.available);
  }
  return { data: Buffer.concat(data), paths, available };
}

describe("uploads", () => {
  const content = randomBytes(3_000_000);
  const digest = sha(content);

  it("stores a blob under its digest, and leaves nothing else", async () => {
    const upload = await begin(digest, content.length);
    for (let at = 0; at < content.length; at += 100_000) await upload.write(content.subarray(at, at + 100_000));
    expect(existsSync(store.path(digest))).toBe(false);
    expect(await upload.commit()).toEqual({ digest, size: content.length });
    expect(readFileSync(store.path(digest)).equals(content)).toBe(true);
    expect(readdirSync(store.layout.uploads)).toEqual([]);
    expect(await store.begin(digest, content.length, signal)).toEqual({ present: { digest, size: content.length } });
    expect((await collect(readBlob(store, digest, reading()))).data.equals(content)).toBe(true);
    const range = await collect(readBlob(store, digest, reading({ offset: 1000, length: 500_000 })));
    expect(range.data.equals(content.subarray(1000, 501_000))).toBe(true);
    await expect(collect(readBlob(store, digest, reading({ offset: 4_000_000 })))).rejects.toThrow("not all within");
  });

  it("resumes, also in another process's life", async () => {
    const first = await begin(digest, content.length);
    await first.write(content.subarray(0, 1_234_567));
    await first.suspend();
    store = await BlobStore.open(dir);
    expect(await store.partSize(digest)).toBe(1_234_567);
    const second = await begin(digest, content.length);
    expect(second.offset).toBe(1_234_567);
    await second.write(content.subarray(second.offset));
    expect(await second.commit()).toEqual({ digest, size: content.length });
  });

  it("refuses wrong bytes, and deletes them", async () => {
    const upload = await begin(digest, content.length);
    await upload.write(Buffer.alloc(content.length));
    await expect(upload.commit()).rejects.toMatchObject({ reason: "DATA_LOSS" });
    expect(readdirSync(store.layout.uploads)).toEqual([]);
    expect(await store.size(digest)).toBeUndefined();
    const again = await begin(digest, content.length);
    expect(again.offset).toBe(0);
    await again.suspend();
  });

  it("refuses more bytes than announced, and an early commit", async () => {
    const upload = await begin(digest, 10);
    expect(() => upload.write(Buffer.alloc(11))).toThrow("larger than the 10 bytes");
    await upload.write(Buffer.alloc(5));
    await expect(upload.commit()).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    expect(await store.partSize(digest)).toBe(5);
  });

  it("lets one writer at a time in; the second finds the blob done", async () => {
    const first = await begin(digest, content.length);
    const second = store.begin(digest, content.length, signal);
    const third = AbortSignal.timeout(20);
    await expect(store.begin(digest, content.length, third)).rejects.toThrow();
    await first.write(content);
    await first.commit();
    expect(await second).toEqual({ present: { digest, size: content.length } });
  });

  it("takes content of unknown digest", async () => {
    const upload = await store.beginUnknown("named", 0, signal);
    await upload.write(content.subarray(0, 10));
    await upload.suspend();
    const again = await store.beginUnknown("named", 0, signal);
    expect(again.offset).toBe(10);
    await again.write(content.subarray(10));
    expect(await again.commit()).toEqual({ digest, size: content.length });
    await expect(store.beginUnknown("../x", 0, signal)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    await expect(store.begin("sha256:../../x", 0, signal)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("notices a torn or damaged blob", async () => {
    const { digest: small } = await store.put(Buffer.from("{}"));
    expect((await store.readSmall(small)).toString()).toBe("{}");
    writeFileSync(store.path(small), "[]");
    await expect(store.readSmall(small)).rejects.toMatchObject({ reason: "DATA_LOSS" });
    expect(await store.verify(small)).toBe(false);
    await expect(store.readSmall(small)).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await store.put(content);
    writeFileSync(store.path(digest), content.subarray(0, 100));
    const upload = await begin(digest, content.length);
    expect(upload.offset).toBe(0);
    await upload.suspend();
  });

  it("sweeps at start what nobody can go on with", async () => {
    await store.put(content);
    writeFileSync(join(store.layout.uploads, "anonymous-1"), "x");
    writeFileSync(store.partPath(digest), content);
    writeFileSync(store.partPath(sha(Buffer.from("other"))), "oth");
    store = await BlobStore.open(dir);
    expect(readdirSync(store.layout.uploads)).toEqual([`sha256-${sha(Buffer.from("other")).slice(7)}`]);
  });
});

describe("followers", () => {
  const content = randomBytes(5_000_000);
  const digest = sha(content);

  async function write(upload: Upload, from = 0, to = content.length): Promise<void> {
    for (let at = from; at < to; at += 200_000) {
      await upload.write(content.subarray(at, Math.min(to, at + 200_000)));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  it("read a blob as it grows, even when they come first, even over a break", async () => {
    const bytes = collect(readBlob(store, digest, reading({ follow: true })));
    const path = collect(readBlob(store, digest, reading({ follow: true, wantPath: true })));
    const first = await begin(digest, content.length);
    const late = collect(readBlob(store, digest, reading({ follow: true, offset: 100, length: 4_000_000 })));
    await write(first, 0, 2_000_000);
    await first.suspend();
    const second = await begin(digest, content.length);
    await write(second, 2_000_000);
    await second.commit();
    expect((await bytes).data.equals(content)).toBe(true);
    expect((await late).data.equals(content.subarray(100, 4_000_100))).toBe(true);
    const { paths, available } = await path;
    expect(paths).toEqual([store.partPath(digest)]);
    expect(available.at(-1)).toBe(content.length);
    expect(available).toEqual([...available].sort((a, b) => a - b));
    await expect.poll(() => readdirSync(store.layout.uploads)).toEqual([]);
    const whole = await collect(readBlob(store, digest, reading({ follow: true, wantPath: true })));
    expect(whole).toMatchObject({ paths: [store.path(digest)], available: [] });
  });

  it("keep the part's name until they are gone", async () => {
    const parts = readBlob(store, digest, reading({ follow: true, wantPath: true }));
    const first = parts.next();
    const upload = await begin(digest, content.length);
    await first;
    await upload.write(content);
    await upload.commit();
    expect(readdirSync(store.layout.uploads)).toHaveLength(1);
    for await (const _ of parts);
    await expect.poll(() => readdirSync(store.layout.uploads)).toEqual([]);
    expect(await store.size(digest)).toBe(content.length);
  });

  it("can open what they were told, even when they come just before the blob is whole", async () => {
    let told: Promise<IteratorResult<ReadPart>> | undefined;
    const watched = await BlobStore.open(dir, (point) => {
      if (point === "blob.synced") told = readBlob(watched, digest, reading({ follow: true, wantPath: true })).next();
    });
    const begun = await watched.begin(digest, content.length, signal);
    if ("present" in begun) throw new Error("the blob is there");
    await begun.upload.write(content);
    await begun.upload.commit();
    const { value } = (await told) ?? {};
    expect(readFileSync((value as { info: { path: string } }).info.path).equals(content)).toBe(true);
  });

  it("fail when the bytes turn out wrong", async () => {
    const following = collect(readBlob(store, digest, reading({ follow: true })));
    const upload = await begin(digest, content.length);
    await upload.write(Buffer.alloc(content.length));
    await expect(upload.commit()).rejects.toMatchObject({ reason: "DATA_LOSS" });
    await expect(following).rejects.toMatchObject({ reason: "DATA_LOSS" });
  });

  it("do not wait for ever, nor after they are gone", async () => {
    const impatient = collect(readBlob(store, digest, reading({ follow: true, patience: 20 })));
    await expect(impatient).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    const gone = collect(readBlob(store, digest, reading({ follow: true, signal: AbortSignal.timeout(20) })));
    await expect(gone).rejects.toThrow();
    await expect(collect(readBlob(store, digest, reading()))).rejects.toMatchObject({ reason: "NOT_FOUND" });
  });
});
