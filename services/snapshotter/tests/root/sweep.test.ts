/** Layers that no image names go, and never under somebody's feet. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SnapshotInfo } from "../../src/domain/snapshotter.ts";
import { type Image, makeImage } from "../images.ts";
import { type LocalSubject, openSubject } from "../subject.ts";

let named: Set<string>;
let answer: () => Promise<Set<string>>;
let subject: LocalSubject;
let image: Image;
const open = async (graceMs: number) => {
  subject = await openSubject({ named: { chainIds: () => answer() }, graceMs });
  image = await makeImage(subject.blobs, [{ a: "1" }, { b: "2" }, { c: "3" }]);
};
beforeEach(() => {
  named = new Set();
  answer = async () => new Set(named);
});
afterEach(() => subject.close());

const unpack = async (layers = image.layers) => {
  for await (const _ of subject.snapshotter.unpack(layers));
};
const keys = async () => (await Array.fromAsync<SnapshotInfo>(subject.snapshotter.list())).map(({ key }) => key).sort();
const swept = async () => {
  subject.snapshotter.imagesChanged();
  await subject.snapshotter.settle();
  return keys();
};
const chain = (count: number) => image.layers.slice(0, count).map(({ chainId }) => chainId);

test("layers of a removed image go, those that another image names stay", async () => {
  await open(60_000);
  named = new Set(chain(3));
  await unpack();
  expect(await swept()).toEqual(chain(3).sort());
  named = new Set(chain(1));
  expect(await swept()).toEqual(chain(1));
  named = new Set();
  expect(await swept()).toEqual([]);
  expect(await readdir(join(subject.directory, "snapshots"))).toEqual([]);
});

test("what was just unpacked waits for its image, and goes by itself when none comes", async () => {
  await open(700);
  await unpack();
  expect(await swept()).toHaveLength(3);
  await unpack();
  await expect.poll(keys, { timeout: 5000 }).toEqual([]);
});

test("layers under a container go with it", async () => {
  await open(0);
  await subject.snapshotter.prepare("c1", image.chainId, { layers: image.layers });
  expect(await swept()).toHaveLength(4);
  await subject.snapshotter.remove("c1");
  await subject.snapshotter.settle();
  expect(await keys()).toEqual([]);
});

test("what was committed by hand stays, and what it stands on", async () => {
  await open(0);
  await subject.snapshotter.prepare("c1", image.chainId, { layers: image.layers });
  await subject.snapshotter.commit("c1", "mine");
  expect(await swept()).toHaveLength(4);
  await subject.snapshotter.remove("mine");
  await subject.snapshotter.settle();
  expect(await keys()).toEqual([]);
});

test("nothing goes while nobody can say what images there are", async () => {
  subject = await openSubject({
    named: { chainIds: () => Promise.reject(new Error("away")) },
    graceMs: 0,
    onError: () => {},
  });
  image = await makeImage(subject.blobs, [{ a: "1" }]);
  await unpack();
  expect(await swept()).toEqual([image.chainId]);
});

test("an answer that is older than the unpacking takes nothing away", async () => {
  await open(60_000);
  named = new Set(chain(3));
  await unpack();
  await swept();
  named = new Set();
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<Set<string>>();
  answer = () => {
    asked.resolve();
    return answered.promise;
  };
  subject.snapshotter.imagesChanged();
  await asked.promise;
  await unpack();
  answered.resolve(new Set());
  await subject.snapshotter.settle();
  expect(await keys()).toHaveLength(3);
});

test("prepare, unpack and removal at once: whoever is told that it's there has it", async () => {
  await open(0);
  let going = true;
  const sweeping = (async () => {
    while (going) {
      subject.snapshotter.imagesChanged();
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const live = async (name: string) => {
    for (let round = 0; round < 40; round++) {
      const key = `${name}-${round}`;
      const depth = 1 + ((round + name.length) % 3);
      const layers = image.layers.slice(0, depth);
      const plan = await subject.snapshotter.prepare(key, layers.at(-1)?.chainId ?? "", { layers });
      for (const dir of plan.layerDirs.slice(1)) expect(await readdir(dir)).toHaveLength(1);
      expect((await subject.snapshotter.mounts(key)).layerDirs).toHaveLength(depth + 1);
      await subject.snapshotter.remove(key);
    }
  };
  await Promise.all([live("a"), live("bb"), live("ccc")]);
  going = false;
  await sweeping;
  expect(await swept()).toEqual([]);
});
