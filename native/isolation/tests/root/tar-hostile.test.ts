/** Archives made to break out, to break down, or to fill up. */
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LayerApply } from "../../ts/index.ts";
import { end, header, member, tar } from "../support/tar-builder.ts";
import { openTarBed, type TarBed } from "./tar-bed.ts";

let bed: TarBed;
beforeAll(async () => {
  bed = await openTarBed();
});
beforeEach(() => bed.clear());
afterAll(() => bed.close());

const at = (path: string) => join(bed.target, path);

describe("paths", () => {
  test.each([
    ["a name that leads up", [{ name: "../evil", data: "x" }]],
    ["one hidden in the middle", [{ name: "a/../../evil", data: "x" }]],
    ["a hard link that leads up", [{ name: "l", type: "1", link: "../outside" }]],
    ["a whiteout that leads up", [{ name: "../.wh.outside" }]],
    ["a whiteout of ..", [{ name: "a/.wh..." }, { name: "a/.wh..", data: "" }]],
    ["a whiteout of nothing", [{ name: ".wh." }]],
    ["a pax path that leads up", [{ name: "ok", pax: { path: "../../evil" } }]],
    ["a NUL in a pax path", [{ name: "ok", pax: { path: "ok\0../evil" } }]],
    ["a file in place of the root", [{ name: ".", type: "0", data: "x" }]],
    [
      "a member below a file",
      [
        { name: "f", data: "1" },
        { name: "f/g", data: "2" },
      ],
    ],
    ["a hard link to a directory", [{ name: "d/" }, { name: "l", type: "1", link: "d" }]],
    ["a hard link to nothing", [{ name: "l", type: "1", link: "nothing" }]],
  ])("%s is refused", async (_, members) => {
    await expect(bed.apply(tar(...members))).rejects.toMatchObject({
      code: expect.stringMatching(/EBADMSG|ENOTDIR|EPERM|ENOENT|EISDIR/),
    });
    expect(readdirSync(at("..")).sort()).toEqual(["layer", "outside"]);
  });

  test("an absolute name stays inside", async () => {
    await bed.apply(tar({ name: "/abs/file", data: "1" }, { name: "//./abs//./two", data: "2" }));
    expect(readdirSync(at("abs")).sort()).toEqual(["file", "two"]);
  });

  test("links as parents don't lead out, absolute or relative, nor through each other", async () => {
    await bed.apply(
      tar(
        { name: "in/" },
        { name: "abs", type: "2", link: "/" },
        { name: "abs/one", data: "1" },
        { name: "up", type: "2", link: "../../../../.." },
        { name: "up/two", data: "2" },
        { name: "in/chain", type: "2", link: "/up/in" },
        { name: "in/chain/three", data: "3" },
      ),
    );
    expect(readFileSync(at("one"), "utf8")).toBe("1");
    expect(readFileSync(at("two"), "utf8")).toBe("2");
    expect(readFileSync(at("in/three"), "utf8")).toBe("3");
  });

  test("a file is never written through a link of its name, nor is a link's target changed", async () => {
    await bed.apply(tar({ name: "l", type: "2", link: bed.outside }, { name: "l", data: "mine" }));
    expect(lstatSync(at("l")).isFile()).toBe(true);
    await bed.apply(
      tar(
        { name: "m", type: "2", link: bed.outside },
        { name: "m", type: "1", link: "m" },
        { name: "k", type: "1", link: "m" },
        { name: "k", data: "x", mode: 0o777 },
      ),
    );
    expect(readFileSync(bed.outside, "utf8")).toBe("outside");
    expect(lstatSync(bed.outside).mode & 0o777).not.toBe(0o777);
  });

  test("magic links of /proc are no way out", async () => {
    await bed.apply(tar({ name: "proc", type: "2", link: "/proc/self/root" }, { name: "x", data: "1" }));
    await expect(bed.apply(tar({ name: "proc/tmp/evil", data: "1" }))).rejects.toMatchObject({
      code: expect.stringMatching(/ENOENT|ENOTDIR|ELOOP/),
    });
  });

  test("names of 5,000 bytes and parts of 300 are errors, 300 levels are not", async () => {
    await expect(bed.apply(tar({ name: "s", pax: { path: "a/".repeat(2500) } }))).rejects.toMatchObject({
      code: "EBADMSG",
    });
    await expect(bed.apply(tar({ name: "s", pax: { path: "p".repeat(300) } }))).rejects.toMatchObject({
      code: "ENAMETOOLONG",
    });
    await bed.apply(tar({ name: "s", data: "deep", pax: { path: "d/".repeat(300) + "f" } }));
    expect(existsSync(at("d/".repeat(300) + "f"))).toBe(true);
  });
});

describe("damage", () => {
  const good = tar({ name: "a/", mode: 0o755 }, { name: "a/f", data: "x".repeat(3000) });
  test.each([512 + 100, 1024, 1500, 3000])("cut off after %d bytes", async (length) => {
    await expect(bed.apply(good.subarray(0, length))).rejects.toMatchObject({ code: "EBADMSG" });
  });
  test("cut off in gzip, and with a wrong checksum there", async () => {
    const zipped = gzipSync(good);
    await expect(bed.apply(zipped.subarray(0, zipped.length - 5))).rejects.toMatchObject({ code: "EBADMSG" });
    const wrong = Buffer.from(zipped);
    wrong[wrong.length - 6] = (wrong[wrong.length - 6] ?? 0) ^ 1;
    await expect(bed.apply(wrong)).rejects.toMatchObject({ code: "EBADMSG" });
    await expect(bed.apply(Buffer.concat([zipped, Buffer.from("garbage")]))).rejects.toMatchObject({ code: "EBADMSG" });
  });
  test.each([
    ["a wrong checksum", member({ name: "x", after: (b) => b.write("1", 0) })],
    ["a negative size", member({ name: "x", before: (b) => b.fill(0xff, 124, 136) })],
    ["letters for a number", member({ name: "x", before: (b) => b.write("abc", 124) })],
    ["an unknown type", member({ name: "x", type: "Q" })],
    [
      "a device number out of range",
      member({ name: "x", type: "3", before: (b) => b.fill(0x41, 330, 336).fill(0x80, 329, 330) }),
    ],
    ["a pax record longer than its header", tar({ name: "h", type: "x", data: "99 path=x\n" }, { name: "x" })],
    ["a pax record of no length", tar({ name: "h", type: "x", data: "0 path=x\n" }, { name: "x" })],
    ["a pax header of 2 MiB", tar({ name: "h", type: "x", data: Buffer.alloc(2 << 20, "a") }, { name: "x" })],
    ["a long name of 2 MiB", tar({ name: "h", type: "L", data: Buffer.alloc(2 << 20, "a") }, { name: "x" })],
    [
      "nothing but pax headers",
      tar(...Array.from({ length: 100 }, () => ({ name: "h", type: "x", data: "10 path=x\n" }))),
    ],
    [
      "a sparse map beyond the file",
      tar({ name: "s", data: "1234", pax: { "GNU.sparse.map": "0,2,99,2", "GNU.sparse.size": "10" } }),
    ],
    [
      "a sparse map that runs backwards",
      tar({ name: "s", data: "1234", pax: { "GNU.sparse.map": "6,2,0,2", "GNU.sparse.size": "10" } }),
    ],
    [
      "a sparse map of more than is there",
      tar({ name: "s", data: "12", pax: { "GNU.sparse.map": "0,2,4,2", "GNU.sparse.size": "10" } }),
    ],
    [
      "a sparse map in the data without end",
      tar({ name: "s", data: "1".repeat(600), pax: { "GNU.sparse.major": "1", "GNU.sparse.realsize": "9" } }),
    ],
    ["a lone zero block", Buffer.concat([Buffer.alloc(512), member({ name: "x" }), end])],
    ["text", Buffer.from("this is not a tar archive ".repeat(60))],
  ])("%s is an error", async (_, bytes) => {
    await expect(bed.apply(bytes)).rejects.toMatchObject({ code: "EBADMSG", syscall: "tar" });
  });
  test("a size of 8 EiB writes nothing and says that the archive is cut short", async () => {
    await expect(bed.apply(Buffer.concat([header({ name: "x", size: 0o777777777777 }, 0)]))).rejects.toMatchObject({
      code: "EBADMSG",
    });
    await expect(bed.apply(tar({ name: "x", pax: { size: "9223372036854775807" } }))).rejects.toMatchObject({
      code: "EBADMSG",
    });
  });
  test("an empty archive, and one without its end, are fine", async () => {
    expect((await bed.apply(end)).entries).toBe(0);
    expect((await bed.apply(Buffer.alloc(0))).entries).toBe(0);
    expect((await bed.apply(member({ name: "x", data: "1" }))).entries).toBe(1);
  });
});

describe("bounds", () => {
  test("a gzip bomb ends at its limit", async () => {
    const bomb = gzipSync(tar({ name: "zeros", data: Buffer.alloc(64 << 20) }));
    expect(bomb.length).toBeLessThan(100_000);
    await expect(bed.apply(bomb, { maxBytes: 1 << 20 })).rejects.toMatchObject({ code: "EFBIG" });
  });
  test("too many members", async () => {
    const many = tar(...Array.from({ length: 101 }, (_, i) => ({ name: `f${i}` })));
    await expect(bed.apply(many, { maxEntries: 100 })).rejects.toMatchObject({ code: "E2BIG" });
  });
  test("100,000 members for one name leave one file, in bounded memory", async () => {
    const block = member({ name: "same", data: "1" });
    const before = process.memoryUsage().rss;
    // In memory: a file system without a journal takes long to give an inode out again.
    const memory = await openTarBed("/dev/shm");
    const layer = new LayerApply({ target: memory.target, source: { kind: "push" } });
    const thousand = Buffer.concat(Array.from({ length: 1000 }, () => block));
    for (let i = 0; i < 100; i++) await layer.write(thousand);
    await layer.write(end);
    expect((await layer.finish()).entries).toBe(100_000);
    expect(readdirSync(memory.target)).toEqual(["same"]);
    await memory.close();
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  }, 30_000);
  test("a source that is no regular file is refused before anything is made", () => {
    expect(() => new LayerApply({ target: bed.target, source: { kind: "file", path: "/dev/zero" } })).toThrow(
      "not a regular file",
    );
    expect(() => new LayerApply({ target: bed.target, source: { kind: "file", path: "/nonexistent" } })).toThrow(
      "ENOENT",
    );
    writeFileSync(at("../blob"), "");
  });
});
