import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "@berth/oci";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addImage, openTestStore, type TestStore } from "../support.ts";

let dir: string;
let store: TestStore;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-full-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", dir]);
  store = await openTestStore(dir);
});
afterAll(async () => {
  await store?.close();
  execFileSync("umount", [dir]);
  rmSync(dir, { recursive: true, force: true });
});

it("a full disk fails the upload, frees what it took, and harms nothing else", async () => {
  const image = await addImage(store, { content: ["a"] });
  await store.images.tag(image.manifest, "x", "");
  const content = randomBytes(12_000_000);
  const begun = await store.blobs.begin(digestOf(content), content.length, new AbortController().signal);
  if (!("upload" in begun)) throw new Error("the blob is there");
  const { upload } = begun;
  const writing = (async () => {
    for (let at = 0; at < content.length; at += 100_000) await upload.write(content.subarray(at, at + 100_000));
    await upload.commit();
  })();
  await expect(writing).rejects.toMatchObject({
    reason: "NO_SPACE",
    message: expect.stringContaining("no space left on device"),
  });
  await upload.suspend();
  expect(readdirSync(store.blobs.layout.uploads)).toEqual([]);
  expect((await store.images.get("x")).image.id).toBe(image.id);
  const other = await addImage(store, { content: ["b"] });
  await store.images.tag(other.manifest, "y", "");
  expect((await store.images.get("y")).image.id).toBe(other.id);
});
