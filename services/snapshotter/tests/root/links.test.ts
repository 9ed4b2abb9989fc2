/** Hard links to files that only the layers below have: they become one file with them, as overlayfs would do it. */
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chainIds } from "@berth/oci";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Member, tar } from "../../../../native/isolation/tests/support/tar-builder.ts";
import type { Layer } from "../../src/domain/snapshotter.ts";
import { type LocalSubject, openSubject } from "../subject.ts";

let subject: LocalSubject;
beforeEach(async () => {
  subject = await openSubject();
});
afterEach(() => subject.close());

const digest = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Unpacks the layers given, and gives their directories, top first. */
async function unpacked(...layers: readonly Member[][]): Promise<readonly string[]> {
  const blobs = layers.map((members) => tar(...members));
  for (const blob of blobs) subject.blobs.set(digest(blob), blob);
  const chain = chainIds(blobs.map(digest));
  const described: Layer[] = blobs.map((blob, index) => ({
    blob: digest(blob),
    diffId: digest(blob),
    size: blob.length,
    chainId: chain[index] as string,
  }));
  const plan = await subject.snapshotter.prepare("c", chain.at(-1) as string, { layers: described });
  return plan.layerDirs.slice(1);
}
const base: Member[] = [
  { name: "d/", mode: 0o750 },
  { name: "d/file", data: "content", mode: 0o4711, uid: 12, gid: 34 },
  { name: "soft", type: "2", link: "d/file" },
];

test("link and target are one file with all that the lower one is", async () => {
  const [top = ""] = await unpacked(
    base,
    [{ name: "other", data: "x" }],
    [
      { name: "e/", mtime: 1_000_000 },
      { name: "e/link", type: "1", link: "d/file" },
      { name: "e/again", type: "1", link: "e/link" },
      { name: "s", type: "1", link: "soft" },
    ],
  );
  const [link, again, target] = ["e/link", "e/again", "d/file"].map((path) => lstatSync(join(top, path)));
  expect(readFileSync(join(top, "e/link"), "utf8")).toBe("content");
  expect([link?.ino, again?.ino]).toEqual([target?.ino, target?.ino]);
  expect([(link?.mode ?? 0) & 0o7777, link?.uid, link?.gid]).toEqual([0o4711, 12, 34]);
  expect(lstatSync(join(top, "d")).mode & 0o7777).toBe(0o750);
  expect(lstatSync(join(top, "e")).mtimeMs).toBe(1_000_000_000);
  expect(lstatSync(join(top, "s")).isSymbolicLink()).toBe(true);
});

test("members that come later win, and hide nothing from links made before", async () => {
  const [top = ""] = await unpacked(base, [
    { name: "a", type: "1", link: "d/file" },
    { name: "b", type: "1", link: "d/file" },
    { name: "a", data: "later" },
    { name: "d/.wh.file" },
  ]);
  expect(readFileSync(join(top, "a"), "utf8")).toBe("later");
  expect(readFileSync(join(top, "b"), "utf8")).toBe("content");
  expect(lstatSync(join(top, "d/file")).isCharacterDevice()).toBe(true);
});

test.each<[string, Member[][]]>([
  ["in no layer", [base, [{ name: "l", type: "1", link: "nowhere" }]]],
  ["below which there is no layer", [[{ name: "l", type: "1", link: "nowhere" }]]],
  ["that a layer between hides", [base, [{ name: "d/.wh.file" }], [{ name: "l", type: "1", link: "d/file" }]]],
  ["behind an opaque directory", [base, [{ name: "d/.wh..wh..opq" }, { name: "l", type: "1", link: "d/file" }]]],
  ["that is a directory", [base, [{ name: "l", type: "1", link: "d" }]]],
])("a link to something %s is refused and leaves nothing", async (_, layers) => {
  await expect(unpacked(...layers)).rejects.toMatchObject({ reason: "DATA_LOSS" });
  expect(existsSync(join(subject.directory, "snapshots/9"))).toBe(false);
});
