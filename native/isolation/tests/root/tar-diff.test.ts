import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DiffResult, diffLayer, diskUsage, getXattr, LayerApply, mountOverlay, umount } from "../../ts/index.ts";
import { tar } from "../support/tar-builder.ts";
import { openTarBed, type TarBed } from "./tar-bed.ts";

let bed: TarBed;
beforeAll(async () => {
  bed = await openTarBed();
});
afterAll(() => bed.close());
const at = (path: string) => join(bed.target, path);

async function collect(options: Parameters<typeof diffLayer>[0]): Promise<DiffResult & { bytes: Buffer }> {
  const chunks: Buffer[] = [];
  const diff = diffLayer(options);
  for (;;) {
    const next = await diff.next();
    if (next.done) return { ...next.value, bytes: Buffer.concat(chunks) };
    chunks.push(next.value);
  }
}
const digest = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

test("what a container changed comes back as the layer that makes the same change", async () => {
  for (const name of ["lower", "upper", "work", "merged", "again"]) mkdirSync(at(name));
  execFileSync("sh", ["-ec", "mkdir gone keep; touch gone/x keep/x removed; mkdir -p redo/old; echo 1 > redo/old/f"], {
    cwd: at("lower"),
  });
  await mountOverlay({
    target: at("merged"),
    lower: [at("lower")],
    upper: at("upper"),
    work: at("work"),
    options: ["index=off", "redirect_dir=off", "metacopy=off"],
  });
  try {
    execFileSync(
      "sh",
      [
        "-ec",
        "rm -r gone removed redo; mkdir -p redo/new; echo 2 > redo/new/g; ln redo/new/g redo/hard; ln -s ../nowhere redo/soft; truncate -s 9M sparse; printf x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none; mkfifo pipe; mknod null c 1 3; chmod 4755 redo/new/g; chown 12:34 redo/new/g",
      ],
      { cwd: at("merged") },
    );
  } finally {
    await umount(at("merged"));
  }
  const { bytes, diffId, digest: own, size, tarSize } = await collect({ upper: at("upper") });
  expect([diffId, own, size, tarSize]).toEqual([digest(bytes), digest(bytes), bytes.length, bytes.length]);
  expect(bytes.length).toBeLessThan(64 * 1024);
  const names = execFileSync("tar", ["-t"], { input: bytes }).toString().trim().split("\n");
  expect(names).toEqual([
    ".wh.gone",
    "null",
    "pipe",
    "redo/",
    "redo/.wh..wh..opq",
    "redo/hard",
    "redo/new/",
    "redo/new/g",
    "redo/soft",
    ".wh.removed",
    "sparse",
  ]);

  const inner = await openTarBed();
  await inner.apply(bytes);
  const second = await collect({ upper: inner.target });
  expect(second.diffId).toBe(diffId);
  expect(await getXattr(join(inner.target, "redo"), "trusted.overlay.opaque")).not.toBeNull();
  expect(lstatSync(join(inner.target, "redo/new/g")).ino).toBe(lstatSync(join(inner.target, "redo/hard")).ino);
  // Inodes differ: the kernel makes its whiteouts as links to one.
  expect((await diskUsage(inner.target)).bytes).toBe((await diskUsage(at("upper"))).bytes);
  await inner.close();

  const zipped = await collect({ upper: at("upper"), gzip: true });
  expect(zipped.diffId).toBe(diffId);
  expect(zipped.digest).toBe(digest(zipped.bytes));
  expect(gunzipSync(zipped.bytes).equals(bytes)).toBe(true);
});

test("long names, large ids and attributes survive the way there and back", async () => {
  await bed.clear();
  await bed.apply(
    tar({
      name: "x",
      data: "1",
      uid: 0,
      pax: {
        path: `${"ä".repeat(60)}/${"b".repeat(150)}`,
        uid: "3000000",
        "SCHILY.xattr.user.k": "v\0w",
        linkpath: "",
      },
    }),
  );
  const first = await collect({ upper: bed.target });
  const inner = await openTarBed();
  await inner.apply(first.bytes);
  expect((await collect({ upper: inner.target })).bytes.equals(first.bytes)).toBe(true);
  expect(lstatSync(join(inner.target, readdirSync(inner.target)[0] ?? "", "b".repeat(150))).uid).toBe(3_000_000);
  await inner.close();
});

test("usage counts blocks, a file of several names once", async () => {
  await bed.clear();
  await bed.apply(
    tar({ name: "a", data: Buffer.alloc(100_000, 1) }, { name: "b", type: "1", link: "a" }, { name: "d/" }),
  );
  const [reported] = execFileSync("du", ["-s", "-B1", bed.target]).toString().split("\t");
  expect(await diskUsage(bed.target)).toMatchObject({ bytes: Number(reported), inodes: 3 });
});

test("a reader that stops early or is cancelled leaves nothing running", async () => {
  await bed.clear();
  writeFileSync(at("big"), Buffer.alloc(32 << 20, 7));
  for await (const chunk of diffLayer({ upper: bed.target })) {
    expect(chunk.length).toBeGreaterThan(0);
    break;
  }
  const controller = new AbortController();
  const diff = diffLayer({ upper: bed.target, signal: controller.signal });
  await diff.next();
  controller.abort(new Error("enough"));
  await expect(
    (async () => {
      for await (const _ of diff);
    })(),
  ).rejects.toThrow("enough");
  await expect(collect({ upper: at("nothing") })).rejects.toMatchObject({ code: "ENOENT", syscall: "open" });
  rmSync(at("big"));
});

test("a faithful copy cannot be told from what it was made of", async () => {
  await bed.clear();
  for (const name of ["from", "to"]) mkdirSync(at(name));
  execFileSync(
    "sh",
    [
      "-ec",
      `chmod 1750 .; chown 999:998 .
      mkdir -p dir/deep .wh.dir; echo 1 > dir/.wh.name; echo 2 > .wh..wh..opq; ln dir/.wh.name other; ln -s /nowhere soft
      mkfifo pipe; mknod gone c 0 0; mknod null c 1 3; truncate -s 9M sparse; printf x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
      chmod 4755 dir/.wh.name; chown -h 12:34 soft dir/deep
      touch -d '1969-12-31 23:59:58.25 UTC' dir/deep; touch -d '2001-02-03 04:05:06.123456789 UTC' dir sparse; touch -h -d '1999-01-01 00:00:00.5 UTC' soft`,
    ],
    { cwd: at("from") },
  );
  const attributes = [
    ["dir", "trusted.overlay.opaque", "y"],
    ["dir", "trusted.overlay.origin", "handle"],
    ["dir", "user.overlay.opaque", "y"],
    [".", "user.own", "root"],
    ["dir/deep", "security.other", "kept"],
  ] as const;
  for (const [path, name, value] of attributes) setXattr(join(at("from"), path), name, value);
  const apply = new LayerApply({ target: at("to"), source: { kind: "push" }, whiteouts: false, faithful: true });
  const diff = diffLayer({ upper: at("from"), whiteouts: false, faithful: true });
  let next = await diff.next();
  for (; !next.done; next = await diff.next()) await apply.write(next.value);
  expect((await apply.finish()).diffId).toBe(next.value.diffId);
  const look = (root: string) =>
    execFileSync("find", [".", "-printf", "%p %y %m %U:%G %s %T@ %l %n\n"], { cwd: at(root) })
      .toString()
      .split("\n")
      .map((line) => (/ d /.test(line) ? line.replace(/ d (\S+ \S+) \d+/, " d $1") : line))
      .sort();
  expect(look("to")).toEqual(look("from"));
  for (const [path, name, value] of attributes) {
    const got = await getXattr(join(at("to"), path), name);
    expect([path, name, got?.toString() ?? null]).toEqual([path, name, name.endsWith("origin") ? null : value]);
  }
  expect(lstatSync(at("to/gone")).rdev).toBe(0);
  expect(lstatSync(at("to/sparse")).blocks).toBeLessThan(64);
  expect(lstatSync(at("to/other")).ino).toBe(lstatSync(at("to/dir/.wh.name")).ino);
});

function setXattr(path: string, name: string, value: string): void {
  execFileSync("python3", [
    "-c",
    "import os,sys; os.setxattr(sys.argv[1], sys.argv[2], sys.argv[3].encode())",
    path,
    name,
    value,
  ]);
}
