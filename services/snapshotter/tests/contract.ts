/**
 * What every Snapshotter does, whoever implements it: the local one, the one over gRPC, and whatever comes next. A factory gives a
 * fresh, empty one, and a way to make blobs that it can unpack.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MS, mount, mountOverlay, umount } from "@berth/isolation";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Layer, MountPlan, SnapshotInfo, Snapshotter, UnpackProgress } from "../src/domain/snapshotter.ts";
import { type Image, makeImage } from "./images.ts";

export interface Subject {
  readonly snapshotter: Snapshotter;
  /** Blobs by digest. */
  readonly blobs: Map<string, Buffer>;
  close(): Promise<void>;
}

export function snapshotterContract(name: string, factory: () => Promise<Subject>): void {
  describe(`${name} as a Snapshotter`, () => {
    let subject: Subject;
    let snapshotter: Snapshotter;
    let image: Image;
    beforeEach(async () => {
      subject = await factory();
      snapshotter = subject.snapshotter;
      image = await makeImage(subject.blobs, [
        { "etc/name": "bottom", "etc/gone": "1", "dir/old": "1" },
        { "etc/.wh.gone": "", "dir/.wh..wh..opq": "", "dir/new": "2" },
        { "etc/name": "top" },
      ]);
    });
    afterEach(() => subject.close());

    const unpack = (layers: readonly Layer[] = image.layers) => collect(snapshotter.unpack(layers));

    test("unpacks an image, tells of each layer, and has them as committed snapshots", async () => {
      const progress = await unpack();
      const last = new Map(progress.map(({ blob, status }) => [blob, status]));
      expect([...last.values()]).toEqual(["done", "done", "done"]);
      const infos = await Promise.all(image.layers.map(({ chainId }) => snapshotter.stat(chainId)));
      expect(infos.map(({ kind }) => kind)).toEqual(["committed", "committed", "committed"]);
      expect(infos.map(({ parent }) => parent)).toEqual(["", image.layers[0]?.chainId, image.layers[1]?.chainId]);
      expect((await unpack()).map(({ status }) => status)).toEqual(["exists", "exists", "exists"]);
    });

    test("an active snapshot shows the layers as one, and keeps what is written into it", async () => {
      await unpack();
      const plan = await snapshotter.prepare("c1", image.chainId, { labels: { a: "b" } });
      await mounted(plan, (root) => {
        expect(execFileSync("find", [".", "-type", "f"], { cwd: root }).toString().trim().split("\n").sort()).toEqual([
          "./dir/new",
          "./etc/name",
        ]);
        expect(readFileSync(join(root, "etc/name"), "utf8")).toBe("top");
        writeFileSync(join(root, "etc/mine"), "x");
        rmSync(join(root, "dir"), { recursive: true });
      });
      expect(await snapshotter.mounts("c1")).toEqual(plan);
      await mounted(plan, (root) =>
        expect(execFileSync("ls", ["etc", "."], { cwd: root }).toString()).toBe(".:\netc\n\netc:\nmine\nname\n"),
      );
      expect(await snapshotter.stat("c1")).toMatchObject({
        key: "c1",
        parent: image.chainId,
        kind: "active",
        labels: { a: "b" },
        size: 0,
      });
      const { bytes, inodes } = await snapshotter.usage("c1");
      expect([bytes > 4096, inodes]).toEqual([true, 4]);
    });

    test("prepare unpacks what is missing, and repeated gives the same", async () => {
      const first = await snapshotter.prepare("c1", image.chainId, { layers: image.layers });
      expect(await snapshotter.prepare("c1", image.chainId, { layers: image.layers })).toEqual(first);
      expect(first.layerDirs).toHaveLength(4);
      await expect(snapshotter.prepare("c1", "")).rejects.toMatchObject({ reason: "ALREADY_EXISTS" });
      await expect(snapshotter.view("c1", image.chainId)).rejects.toMatchObject({ reason: "ALREADY_EXISTS" });
    });

    test("without a parent there is one empty directory", async () => {
      const plan = await snapshotter.prepare("scratch", "");
      await mounted(plan, (root) => writeFileSync(join(root, "f"), "1"));
      await snapshotter.commit("scratch", "base");
      await mounted(await snapshotter.prepare("on-base", "base"), (root) =>
        expect(readFileSync(join(root, "f"), "utf8")).toBe("1"),
      );
    });

    test("a view can be read and not written", async () => {
      await unpack();
      for (const [key, parent] of [
        ["v3", image.chainId],
        ["v1", image.layers[0]?.chainId ?? ""],
      ] as const) {
        await mounted(await snapshotter.view(key, parent), (root) => {
          expect(readFileSync(join(root, "etc/name"), "utf8")).toBe(key === "v3" ? "top" : "bottom");
          expect(() => writeFileSync(join(root, "x"), "")).toThrow("EROFS");
        });
      }
    });

    test("commit freezes: the key is free, the name can be stood on, and its diff is the layer", async () => {
      await unpack();
      await mounted(await snapshotter.prepare("c1", image.chainId), (root) =>
        writeFileSync(join(root, "etc/name"), "changed"),
      );
      await snapshotter.commit("c1", "image/new");
      await expect(snapshotter.stat("c1")).rejects.toMatchObject({ reason: "NOT_FOUND" });
      await expect(snapshotter.mounts("image/new")).rejects.toMatchObject({ reason: "CONFLICT" });
      await expect(snapshotter.commit("image/new", "again")).rejects.toMatchObject({ reason: "CONFLICT" });
      await snapshotter.prepare("c1", image.chainId);
      await expect(snapshotter.commit("c1", "image/new")).rejects.toMatchObject({ reason: "ALREADY_EXISTS" });
      await mounted(await snapshotter.prepare("c2", "image/new"), (root) =>
        expect(readFileSync(join(root, "etc/name"), "utf8")).toBe("changed"),
      );
      const diff = Buffer.concat(await collect(snapshotter.diff("image/new")));
      expect(execFileSync("tar", ["-t"], { input: diff }).toString()).toBe("etc/\netc/name\n");
      expect((await snapshotter.stat("image/new")).size).toBeGreaterThan(0);
    });

    test("what others stand on stays", async () => {
      await snapshotter.prepare("c1", image.chainId, { layers: image.layers });
      const bottomUp = image.layers.map(({ chainId }) => chainId);
      for (const chainId of bottomUp)
        await expect(snapshotter.remove(chainId)).rejects.toMatchObject({ reason: "IN_USE" });
      await snapshotter.remove("c1");
      await expect(snapshotter.remove("c1")).rejects.toMatchObject({ reason: "NOT_FOUND" });
      for (const chainId of bottomUp.toReversed()) await snapshotter.remove(chainId);
      expect(await collect<SnapshotInfo>(snapshotter.list())).toEqual([]);
    });

    test("the same layers wanted by many at once are unpacked once", async () => {
      const keys = ["a", "b", "c", "d"];
      await Promise.all(keys.map((key) => snapshotter.prepare(key, image.chainId, { layers: image.layers })));
      const all = await collect<SnapshotInfo>(snapshotter.list());
      expect(all.map(({ key }) => key).sort()).toEqual([...keys, ...image.layers.map(({ chainId }) => chainId)].sort());
    });

    test("a layer that is not what it should be leaves nothing", async () => {
      const [first, second, third] = image.layers as [Layer, Layer, Layer];
      subject.blobs.set(second.blob, subject.blobs.get(first.blob) as Buffer);
      await expect(unpack()).rejects.toMatchObject({ reason: "DATA_LOSS" });
      subject.blobs.set(second.blob, Buffer.from("no tar, and not even long enough"));
      await expect(snapshotter.prepare("c1", third.chainId, { layers: image.layers })).rejects.toMatchObject({
        reason: "DATA_LOSS",
      });
      subject.blobs.delete(second.blob);
      await expect(unpack()).rejects.toMatchObject({ reason: "NOT_FOUND" });
      const keys = (await collect<SnapshotInfo>(snapshotter.list())).map(({ key }) => key);
      expect(keys.filter((key) => key !== first.chainId)).toEqual([]);
    });

    test("chain ids that don't fit, bad keys and missing parents are refused", async () => {
      const [first, second] = image.layers as [Layer, Layer, Layer];
      await expect(unpack([{ ...first, chainId: second.chainId }])).rejects.toMatchObject({
        reason: "INVALID_ARGUMENT",
      });
      await expect(unpack([{ ...first, blob: "sha256:xyz" }])).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
      await expect(snapshotter.prepare("../up", "")).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
      await expect(snapshotter.prepare("c1", "sha256:nothing")).rejects.toMatchObject({ reason: "NOT_FOUND" });
      await expect(snapshotter.prepare("c1", second.chainId, { layers: [first] })).rejects.toMatchObject({
        reason: "INVALID_ARGUMENT",
      });
      for (const call of [
        () => snapshotter.stat("no"),
        () => snapshotter.mounts("no"),
        () => snapshotter.usage("no"),
        () => snapshotter.commit("no", "x"),
        () => collect(snapshotter.diff("no")),
      ]) {
        await expect(call()).rejects.toMatchObject({ reason: "NOT_FOUND" });
      }
    });

    test("a caller that stops waiting stops the unpacking that nobody else wants", async () => {
      const big = await makeImage(subject.blobs, [{ big: Buffer.alloc(96 << 20, "x") }]);
      const controller = new AbortController();
      const unpacking = snapshotter.unpack(big.layers, controller.signal);
      await expect(
        (async () => {
          for await (const { status } of unpacking) if (status === "extracting") controller.abort(new Error("enough"));
        })(),
      ).rejects.toThrow();
      await expect(snapshotter.stat(big.chainId)).rejects.toMatchObject({ reason: "NOT_FOUND" });
      const progress = await collect<UnpackProgress>(snapshotter.unpack(big.layers));
      expect(progress.at(-1)?.status).toBe("done");
    });
  });
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Mounts as the plan says, as the runtime would. */
async function mounted(plan: MountPlan, look: (root: string) => void): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "berth-mounted-"));
  for (const { type, source, options, base } of plan.mounts) {
    if (type === "bind") {
      await mount({ source, target: root, flags: MS.BIND | MS.REC });
      if (options.includes("ro")) await mount({ source, target: root, flags: MS.REMOUNT | MS.BIND | MS.RDONLY });
      continue;
    }
    const value = (key: string) => options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
    const [upper, work] = [value("upperdir"), value("workdir")];
    const others = options.filter((option) => !/^(lowerdir|upperdir|workdir)=|^ro$/.test(option));
    await mountOverlay({
      target: root,
      lower: (value("lowerdir") ?? "").split(":"),
      ...(upper && work && { upper, work }),
      base,
      options: others,
    });
  }
  try {
    look(root);
  } finally {
    await umount(root);
    rmSync(root, { recursive: true });
  }
}
