// What an image's layers show at a path, copied into a directory.
import { execFile } from "node:child_process";
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { copyUp, getXattr } from "../../ts/index.ts";

const run = promisify(execFile);
let work: string;
let target: string;
let lower: string[];

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "copy-up-"));
  target = join(work, "target");
  lower = ["own", "top", "middle", "base"].map((name) => join(work, name));
  await Promise.all([target, join(work, "scratch"), ...lower].map((path) => mkdir(path)));
});
afterEach(() => rm(work, { recursive: true, force: true }));

const copy = (source: string, subpath = "") =>
  copyUp({ lower, scratch: join(work, "scratch"), source, target, subpath });
const inLayer = (index: number) => (path: string) => join(lower[index] as string, path);
const [top, middle, base] = [inLayer(1), inLayer(2), inLayer(3)];
const setXattr = (path: string, name: string, value: string) =>
  run("python3", [
    "-c",
    "import os, sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())",
    path,
    name,
    value,
  ]);
const mounts = async () =>
  (await readFile("/proc/self/mountinfo", "utf8")).split("\n").filter((line) => line.includes(work));

test("layers are merged: what an upper one hides or replaces does not come", async () => {
  for (const layer of [top, middle, base]) await mkdir(layer("data/dir"), { recursive: true });
  await writeFile(base("data/old"), "old");
  await writeFile(base("data/same"), "base");
  await writeFile(middle("data/same"), "middle");
  await writeFile(base("data/dir/a"), "a");
  await writeFile(top("data/dir/b"), "b");
  await run("mknod", [top("data/old"), "c", "0", "0"]);
  await mkdir(base("data/opaque"));
  await writeFile(base("data/opaque/hidden"), "");
  await mkdir(top("data/opaque"));
  await setXattr(top("data/opaque"), "trusted.overlay.opaque", "y");
  expect(await copy("/data")).toBe("copied");
  expect((await readdir(target)).sort()).toEqual(["dir", "opaque", "same"]);
  expect(await readFile(join(target, "same"), "utf8")).toBe("middle");
  expect((await readdir(join(target, "dir"))).sort()).toEqual(["a", "b"]);
  expect(await readdir(join(target, "opaque"))).toEqual([]);
  expect(await getXattr(join(target, "opaque"), "trusted.overlay.opaque")).toBeNull();
  expect(await mounts()).toEqual([]);
});

test("owners, modes, times, attributes, links and devices are kept", async () => {
  const at = (path: string) => join(target, path);
  await mkdir(base("d/sub"), { recursive: true });
  await writeFile(base("d/file"), "content");
  await chown(base("d/file"), 12, 34);
  await chmod(base("d/file"), 0o4751);
  await utimes(base("d/file"), 1000, 2000);
  await setXattr(base("d/file"), "user.note", "hi");
  await link(base("d/file"), base("d/sub/twin"));
  await symlink("../nowhere", base("d/sub/link"));
  await run("mkfifo", [base("d/pipe")]);
  await run("mknod", [base("d/null"), "c", "1", "3"]);
  await run("truncate", ["-s", "64M", base("d/hole")]);
  await chown(base("d"), 5, 6);
  await chmod(base("d"), 0o1770);
  expect(await copy("d")).toBe("copied");
  const file = await lstat(at("file"));
  expect([file.uid, file.gid, file.mode & 0o7777, file.mtimeMs, file.nlink]).toEqual([12, 34, 0o4751, 2_000_000, 2]);
  expect((await lstat(at("sub/twin"))).ino).toBe(file.ino);
  expect((await getXattr(at("file"), "user.note"))?.toString()).toBe("hi");
  expect(await readlink(at("sub/link"))).toBe("../nowhere");
  expect((await lstat(at("pipe"))).isFIFO()).toBe(true);
  expect((await lstat(at("null"))).rdev).toBe(0x103);
  const hole = await lstat(at("hole"));
  expect([hole.size, hole.blocks]).toEqual([64 << 20, 0]);
  const root = await lstat(target);
  expect([root.uid, root.gid, root.mode & 0o7777]).toEqual([5, 6, 0o1770]);
});

test("links of the image stay in the image", async () => {
  await mkdir(base("real"));
  await writeFile(base("real/f"), "inside");
  await symlink("/real", base("link"));
  await symlink("/etc", base("out"));
  expect(await copy("/link")).toBe("copied");
  expect(await readdir(target)).toEqual(["f"]);
  await rm(join(target, "f"));
  expect(await copy("/out")).toBe("absent");
  expect(await copy("/../../../../etc")).toBe("absent");
});

test("nothing there, nothing in it, a target that has something, a file", async () => {
  expect(await copy("/nope/x")).toBe("absent");
  await mkdir(base("void"));
  await chmod(base("void"), 0o711);
  expect(await copy("/void")).toBe("empty");
  expect((await lstat(target)).mode & 0o777).toBe(0o711);
  await writeFile(join(target, "mine"), "");
  await mkdir(base("full"));
  await writeFile(base("full/f"), "");
  expect(await copy("/full")).toBe("full");
  expect(await readdir(target)).toEqual(["mine"]);
  await expect(copy("/full/f")).rejects.toMatchObject({ code: "ENOTDIR", syscall: "copy" });
  expect(await mounts()).toEqual([]);
});

test("a subpath of the target, which may not lead out of it", async () => {
  await mkdir(base("d"));
  await writeFile(base("d/f"), "");
  await mkdir(join(target, "sub"));
  await symlink("/tmp", join(target, "out"));
  expect(await copy("/d", "sub")).toBe("copied");
  expect(await readdir(join(target, "sub"))).toEqual(["f"]);
  await expect(copy("/d", "out")).rejects.toMatchObject({ code: "EXDEV" });
  await expect(copy("/d", "nope")).rejects.toMatchObject({ code: "ENOENT" });
});
