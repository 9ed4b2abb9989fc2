/** Dies between every two writes, and looks at what is found after: by the same boot (a crash), and by the next (a power cut). */
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultPoints } from "../../src/domain/fault.ts";
import { makeImage } from "../images.ts";
import { openAt } from "../subject.ts";

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "berth-crash-"));
});
afterAll(() => rm(work, { recursive: true }));

describe.each([...faultPoints])("dead at %s", (point) => {
  let directory: string;
  beforeAll(() => {
    directory = join(work, point);
    const child = join(import.meta.dirname, "../crash-child.ts");
    const { signal, stderr } = spawnSync(process.execPath, [child, directory, point], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(signal).toBe("SIGKILL");
  });

  test.each(["first boot", "second boot"])("is whole again in the %s", async (bootId) => {
    const copy = `${directory} ${bootId}`;
    await cp(directory, copy, { recursive: true });
    const blobs = new Map<string, Buffer>();
    const { layers, chainId } = await makeImage(blobs, [{ "dir/a": "1", b: "2" }, { "dir/c": "3" }]);
    const subject = await openAt({ directory: copy, blobs, bootId });
    await subject.snapshotter.settle();

    const records = new Map<string, string>();
    for await (const { key, kind } of subject.snapshotter.list()) records.set(key, kind);
    const directories = await readdir(join(copy, "snapshots"));
    expect(directories.length, "a directory for each record and no other").toBe(records.size);
    // What was acknowledged before the death: "kept", unless that very call was under way.
    if (point !== "prepare-made") expect(records.get("kept")).toBe("active");
    if (point.startsWith("remove")) expect([records.get("committed"), records.has("c2")]).toEqual(["committed", false]);

    // Everything can be asked for again, and is right: a layer is whole or not there.
    const { layerDirs } = await subject.snapshotter.prepare("after", chainId, { layers });
    expect(layerDirs).toHaveLength(3);
    const [, top, bottom] = layerDirs as [string, string, string];
    expect(await readFile(join(top, "dir/c"), "utf8")).toBe("3");
    expect(await readFile(join(bottom, "dir/a"), "utf8")).toBe("1");
    expect((await subject.snapshotter.prepare("kept", "")).layerDirs).toHaveLength(1);
    for (const key of records.keys()) if (records.get(key) === "active") await subject.snapshotter.mounts(key);
    await subject.close();
  });
});

test("layers that were not on the medium when the power went are dropped, those that were stay", async () => {
  const directory = join(work, "power");
  const blobs = new Map<string, Buffer>();
  const { layers, chainId } = await makeImage(blobs, [{ a: "1" }]);
  const before = await openAt({ directory, blobs, bootId: "one" });
  await before.snapshotter.prepare("c", chainId, { layers });
  await before.close();
  const same = await openAt({ directory, blobs, bootId: "two" });
  expect((await same.snapshotter.stat(chainId)).kind).toBe("committed");
  await same.close();
});
