import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getXattr, LayerApply } from "../../ts/index.ts";
import { member, tar } from "../support/tar-builder.ts";
import { openTarBed, type TarBed } from "./tar-bed.ts";

let bed: TarBed;
beforeAll(async () => {
  bed = await openTarBed();
});
beforeEach(() => bed.clear());
afterAll(() => bed.close());

const at = (path: string) => join(bed.target, path);
const xattr = (path: string, name: string) => getXattr(at(path), name);
const isOpaque = async (path: string) => String(await xattr(path, "trusted.overlay.opaque")) === "y";
const isWhiteout = (path: string) => {
  const status = lstatSync(at(path));
  return status.isCharacterDevice() && status.rdev === 0;
};
const digest = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

describe("members", () => {
  test("files, directories, links, devices and fifos, with owner, mode and time", async () => {
    const archive = tar(
      { name: "a/", mode: 0o2755, uid: 3, gid: 4, mtime: 1_500_000_000 },
      { name: "a/file", data: "content", mode: 0o4711, uid: 5, gid: 6, mtime: 1_500_000_001 },
      { name: "a/hard", type: "1", link: "a/file" },
      { name: "a/soft", type: "2", link: "../a/file", uid: 7, mtime: 1_500_000_002 },
      { name: "a/char", type: "3", major: 1, minor: 3, mode: 0o666 },
      { name: "a/block", type: "4", major: 7, minor: 9 },
      { name: "a/fifo", type: "6", mode: 0o600 },
    );
    const result = await bed.apply(archive);
    expect(result).toMatchObject({
      diffId: digest(archive),
      bytesOut: archive.length,
      entries: 7,
      fileBytes: 7,
      implied: [""],
    });
    const directory = lstatSync(at("a"));
    expect([directory.mode & 0o7777, directory.uid, directory.gid, directory.mtimeMs]).toEqual([
      0o2755, 3, 4, 1_500_000_000_000,
    ]);
    const file = lstatSync(at("a/file"));
    expect([file.mode & 0o7777, file.uid, file.gid, file.mtimeMs, file.nlink]).toEqual([
      0o4711, 5, 6, 1_500_000_001_000, 2,
    ]);
    expect(readFileSync(at("a/hard"), "utf8")).toBe("content");
    expect(readlinkSync(at("a/soft"))).toBe("../a/file");
    expect([lstatSync(at("a/soft")).uid, lstatSync(at("a/soft")).mtimeMs]).toEqual([7, 1_500_000_002_000]);
    expect([lstatSync(at("a/char")).rdev, lstatSync(at("a/char")).mode & 0o777]).toEqual([0x103, 0o666]);
    expect(lstatSync(at("a/block")).isBlockDevice()).toBe(true);
    expect(lstatSync(at("a/fifo")).isFIFO()).toBe(true);
    // Made inside a setgid directory before that had its bit: nothing took its group over.
    expect(lstatSync(at("a/fifo")).gid).toBe(0);
  });

  test("pax: long names, sizes, times in ns, attributes", async () => {
    const name = `deep/${"n".repeat(200)}/${"f".repeat(200)}`;
    const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
    await bed.apply(
      tar(
        {
          name: "short",
          data: "x",
          pax: { path: name, mtime: "1234567890.123456789", "SCHILY.xattr.user.note": "hi", uid: "3000000" },
        },
        { name: "link", type: "2", link: "?", pax: { linkpath: "l".repeat(300) } },
        { name: "cap", data: "x", uid: 1, pax: { "SCHILY.xattr.security.capability": capability } },
      ),
    );
    const status = statSync(at(name), { bigint: true });
    expect([status.mtimeNs, status.uid]).toEqual([1234567890123456789n, 3000000n]);
    expect(String(await xattr(name, "user.note"))).toBe("hi");
    expect(readlinkSync(at("link"))).toBe("l".repeat(300));
    expect(await xattr("cap", "security.capability")).toEqual(capability);
  });

  test("GNU long names and base-256 numbers", async () => {
    const long = "g/".repeat(80) + "x";
    const big = (block: Buffer) => {
      block.fill(0, 108, 116);
      block[108] = 0x80;
      block.writeUInt32BE(4_000_000, 112);
    };
    await bed.apply(
      tar(
        { name: "././@LongLink", type: "L", data: `${long}\0`, magic: "ustar  \0" },
        { name: "cut", data: "y", before: big, magic: "ustar  \0" },
      ),
    );
    expect(readFileSync(at(long), "utf8")).toBe("y");
    expect(lstatSync(at(long)).uid).toBe(4_000_000);
  });

  test("directories that no member describes are made and told of; a later description counts", async () => {
    const { implied } = await bed.apply(
      tar({ name: "x/y/z", data: "1" }, { name: "x/", mode: 0o700 }, { name: "./", mode: 0o711 }),
    );
    expect(implied).toEqual(["x/y"]);
    expect([lstatSync(at("x")).mode & 0o777, lstatSync(bed.target).mode & 0o777]).toEqual([0o700, 0o711]);
  });

  test("a later member replaces an earlier one, whatever it was", async () => {
    await bed.apply(
      tar(
        { name: "d/f", data: "1" },
        { name: "d", data: "now a file" },
        { name: "s", type: "2", link: "d" },
        { name: "s/", mode: 0o750 },
        { name: "s/in", data: "2" },
        { name: "h", data: "old" },
        { name: "h", type: "1", link: "d" },
      ),
    );
    expect(readFileSync(at("d"), "utf8")).toBe("now a file");
    expect(lstatSync(at("s")).isDirectory()).toBe(true);
    expect(readFileSync(at("s/in"), "utf8")).toBe("2");
    expect(readFileSync(at("h"), "utf8")).toBe("now a file");
  });

  test("GNU tar's own archives of a sparse file, in all its formats", async () => {
    const source = at("../sparse");
    execFileSync("sh", [
      "-c",
      `truncate -s 3000000 ${source} && for at in 0 1000000 2500000; do printf data | dd of=${source} bs=1 seek=$at conv=notrunc status=none; done`,
    ]);
    const expected = readFileSync(source);
    for (const format of [
      ["--format=gnu"],
      ["--format=posix", "--sparse-version=0.0"],
      ["--format=posix", "--sparse-version=0.1"],
      ["--format=posix", "--sparse-version=1.0"],
    ]) {
      await bed.clear();
      const archive = execFileSync("tar", ["-S", ...format, "-C", join(bed.target, ".."), "-c", "sparse"], {
        maxBuffer: 1 << 24,
      });
      expect(archive.length).toBeLessThan(100_000);
      await bed.apply(archive);
      expect(readFileSync(at("sparse")).equals(expected), format.join(" ")).toBe(true);
      expect(lstatSync(at("sparse")).blocks * 512).toBeLessThan(100_000);
    }
  });
});

describe("whiteouts", () => {
  test("become overlayfs's, in either order with what they share a name with", async () => {
    await bed.apply(
      tar(
        { name: "a/.wh.gone" },
        { name: "a/.wh..wh..opq" },
        { name: "a/.wh..wh.plnk/", type: "5" },
        { name: "kept", data: "1" },
        { name: ".wh.kept" },
        { name: "dir1/" },
        { name: ".wh.dir1" },
        { name: ".wh.dir2" },
        { name: "dir2/" },
        { name: ".wh.dir3" },
        { name: "dir3/file", data: "3" },
        { name: ".wh.file" },
        { name: "file", data: "4" },
      ),
    );
    expect(isWhiteout("a/gone")).toBe(true);
    expect(await isOpaque("a")).toBe(true);
    expect(readdirSync(at("a"))).toEqual(["gone"]);
    expect(readFileSync(at("kept"), "utf8")).toBe("1");
    for (const directory of ["dir1", "dir2", "dir3"]) expect(await isOpaque(directory), directory).toBe(true);
    expect(readFileSync(at("file"), "utf8")).toBe("4");
  });

  test("are plain files when asked for", async () => {
    await bed.apply(tar({ name: ".wh.x", data: "1" }), { whiteouts: false });
    expect(readFileSync(at(".wh.x"), "utf8")).toBe("1");
  });

  test("an archive can't set overlayfs's own attributes", async () => {
    await bed.apply(
      tar({ name: "a/", pax: { "SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.fine": "1" } }),
    );
    expect(await xattr("a", "trusted.overlay.redirect")).toBeNull();
    expect(String(await xattr("a", "user.fine"))).toBe("1");
  });
});

describe("compression and sources", () => {
  const archive = tar(
    ...Array.from({ length: 300 }, (_, i) => ({ name: `d${i % 7}/f${i}`, data: `${i}`.repeat(i * 7) })),
  );
  const forms: [string, Buffer][] = [
    ["plain", archive],
    ["gzip", gzipSync(archive)],
    [
      "gzip of several members",
      Buffer.concat([gzipSync(archive.subarray(0, 70_001)), gzipSync(archive.subarray(70_001)), Buffer.alloc(512)]),
    ],
    ["zstd", zstdCompressSync(archive)],
    [
      "zstd of several frames",
      Buffer.concat([zstdCompressSync(archive.subarray(0, 1000)), zstdCompressSync(archive.subarray(1000))]),
    ],
  ];
  test.each(forms)("%s: from a file, pushed, and from a growing file", async (_, bytes) => {
    const path = at("../blob");
    writeFileSync(path, bytes);
    const file = await new LayerApply({ target: bed.target, source: { kind: "file", path }, hashCompressed: true })
      .result;
    expect(file).toMatchObject({
      diffId: digest(archive),
      compressedDigest: digest(bytes),
      bytesIn: bytes.length,
      entries: 300,
    });
    await bed.clear();
    expect((await bed.apply(bytes)).diffId).toBe(digest(archive));
    await bed.clear();
    const follow = new LayerApply({ target: bed.target, source: { kind: "follow", path } });
    for (const part of [1, 3, 4000, bytes.length - 1]) {
      follow.advance(part);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    follow.advance(bytes.length);
    expect((await follow.finish()).diffId).toBe(digest(archive));
    expect(readFileSync(at("d5/f299"), "utf8")).toBe("299".repeat(299 * 7));
  });

  test("a slow reader holds the pusher back", async () => {
    const layer = new LayerApply({ target: bed.target, source: { kind: "push" } });
    const big = tar({ name: "big", data: Buffer.alloc(64 << 20, 1) });
    let waits = 0;
    for (let offset = 0; offset < big.length; offset += 1 << 20) {
      let waited = false;
      const written = layer.write(big.subarray(offset, offset + (1 << 20)));
      await Promise.race([written, new Promise((resolve) => setImmediate(() => resolve((waited = true))))]);
      if (waited) waits++;
      await written;
    }
    expect((await layer.finish()).fileBytes).toBe(64 << 20);
    expect(waits).toBeGreaterThan(0);
  });

  test("aborting ends it soon, by call and by signal", async () => {
    const layer = new LayerApply({ target: bed.target, source: { kind: "push" } });
    await layer.write(member({ name: "x" }));
    layer.abort();
    await expect(layer.result).rejects.toMatchObject({ code: "ECANCELED" });
    const controller = new AbortController();
    const second = new LayerApply({ target: bed.target, source: { kind: "push" }, signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(second.result).rejects.toThrow("enough");
  });
});
