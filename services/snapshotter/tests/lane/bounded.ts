// In the lane's machine, where file systems have project quotas: writable layers with a bound. The argument is a directory of such a
// file system. Ends with status 1 and the reason at the first thing that is not so.
import assert from "node:assert/strict";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { assignProject, limitProject, mount, projectOf, umount } from "@berth/isolation";
import { OverlaySnapshotter } from "../../src/domain/overlay.ts";
import type { Records, SnapshotRecord } from "../../src/domain/records.ts";
import type { MountPlan } from "../../src/domain/snapshotter.ts";
import { makeImage, memoryBlobs } from "../images.ts";

const [directory = ""] = process.argv.slice(2);
const base = join(directory, "snapshots");
const firstProject = 0x42000000;
const mebibyte = 1 << 20;

const kept = new Map<string, SnapshotRecord>();
const records: Records = {
  all: async () => new Map(kept),
  async write(changes) {
    for (const { key, record } of changes) record === null ? kept.delete(key) : kept.set(key, record);
  },
  close: async () => {},
};
const blobs = new Map<string, Buffer>();
const open = () =>
  OverlaySnapshotter.open({
    base,
    records,
    blobs: memoryBlobs(blobs),
    bootId: "this boot",
    parallel: 2,
    maxLayerBytes: 1 << 30,
    onError: (error) => assert.fail(String(error)),
  });

/** EDQUOT, for which Node has no name, and ENOSPC. */
const isFull = (errno: number) => errno === -122 || errno === -28;

/** Bytes that could be written to a file, at most 16 MiB, and the (negative) errno of what ended it. */
function fill(path: string): { bytes: number; errno: number } {
  const block = Buffer.alloc(65_536, "x");
  const fd = openSync(path, "w");
  let bytes = 0;
  let errno = 0;
  try {
    while (bytes < 16 * mebibyte) bytes += writeSync(fd, block);
    fsyncSync(fd);
  } catch (error) {
    errno = (error as NodeJS.ErrnoException).errno ?? 1;
  } finally {
    closeSync(fd);
  }
  return { bytes, errno };
}

async function mounted<T>({ mounts: [plan] }: MountPlan, use: (root: string) => T): Promise<T> {
  assert(plan !== undefined);
  const target = "/tmp/mounted";
  mkdirSync(target, { recursive: true });
  process.chdir(plan.base);
  await mount({ source: plan.source, target, type: plan.type, flags: 0, data: plan.options.join(",") });
  try {
    return use(target);
  } finally {
    await umount(target);
  }
}

/** xfs counts removed files out a little later. */
async function isFreed(project: number): Promise<boolean> {
  for (let tries = 0; tries < 500; tries++) {
    if (await isFree(project)) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

const isFree = async (project: number) => {
  const probe = join(directory, "probe");
  mkdirSync(probe);
  const free = await assignProject(probe, project);
  rmSync(probe, { recursive: true });
  return free;
};

const { layers, chainId } = await makeImage(blobs, [{ "etc/below": "x".repeat(mebibyte) }]);
const snapshotter = await open();
const bounded = await snapshotter.prepare("bounded", chainId, { layers, storageOptions: { size: "4m" } });
const { dir } = kept.get("bounded") ?? assert.fail("no record");
assert.equal(kept.get("bounded")?.quota, 4 * mebibyte);
assert.equal(await projectOf(join(base, String(dir), "fs")), firstProject + dir);
await mounted(bounded, (root) => {
  const { blocks, bsize } = statfsSync(root);
  assert(blocks * bsize <= 4 * mebibyte, "the size that df shows");
  writeFileSync(join(root, "etc/below"), "changed", { flag: "a" });
  const { bytes, errno } = fill(join(root, "file"));
  assert(isFull(errno), `errno ${errno}`);
  assert(bytes > 2 * mebibyte && bytes < 3.2 * mebibyte, `${bytes} bytes beside a copied-up MiB`);
});
// The same asked for again is the same; what is wrong is told in Docker's words; and nobody else is bounded.
await snapshotter.prepare("bounded", chainId, { layers, storageOptions: { size: "4m" } });
for (const [storageOptions, message] of [
  [{ size: "abc" }, "invalid size: 'abc'"],
  [{ size: "1Z" }, "invalid suffix: 'z'"],
  [{ foo: "1" }, "Unknown option foo"],
] as const)
  await assert.rejects(snapshotter.prepare("wrong", chainId, { layers, storageOptions }), { message });
const free = await snapshotter.prepare("free", chainId, { layers, storageOptions: { size: "0" } });
assert.equal(await projectOf(join(base, String(kept.get("free")?.dir), "fs")), 0);
await mounted(free, (root) => assert.deepEqual(fill(join(root, "file")), { bytes: 16 * mebibyte, errno: 0 }));

// Another program of the same file system has the project of the next number: it is passed over.
const next = (kept.get("free")?.dir ?? 0) + 1;
const other = join(directory, "other");
mkdirSync(other);
assert.equal(await assignProject(other, firstProject + next), true);
await snapshotter.prepare("second", chainId, { layers, storageOptions: { SIZE: "1m" } });
assert.equal(kept.get("second")?.dir, next + 1);

// Removed: the project is nobody's again.
assert.equal(await isFree(firstProject + dir), false);
await snapshotter.remove("bounded");
await snapshotter.settle();
assert(await isFreed(firstProject + dir));
await snapshotter.close();

// What a crash left between directory and record goes with its limit; what its record names and the disk has not comes back with it.
const left = join(base, "77");
mkdirSync(left);
assert.equal(await assignProject(left, firstProject + 77), true);
await limitProject(base, firstProject + 77, mebibyte);
const second = kept.get("second")?.dir ?? 0;
await limitProject(base, firstProject + second, 0);
rmSync(join(base, String(second)), { recursive: true });
const again = await open();
await again.settle();
assert(await isFreed(firstProject + 77));
await mounted(await again.mounts("second"), (root) => assert(isFull(fill(join(root, "file")).errno)));

for (const key of ["second", "free", chainId]) {
  await again.remove(key);
  await again.settle();
}
assert.deepEqual(readdirSync(base), []);
await again.close();
rmSync(other, { recursive: true });
rmSync(base, { recursive: true });
console.log(`${directory}: as it should be`);
