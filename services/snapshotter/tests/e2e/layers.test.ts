/** With the whole engine and the docker client: what `docker rmi` leaves on the disk. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Bed, must, openBed } from "@berth/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let bed: Bed;
let one: string;
let two: string;
beforeAll(async () => {
  bed = await openBed();
  await must([...bed.netns.enter, process.execPath, join(import.meta.dirname, "push.ts"), bed.registry]);
  one = `${bed.registry}/layers:one`;
  two = `${bed.registry}/layers:two`;
});
afterAll(() => bed?.close());

const all = () => readdir(join(bed.work, "root/snapshotter/snapshots"));
const directories = async () => (await all()).filter((name) => !name.startsWith("gone-"));
/** Out of sight within a second, and gone when a disk that is busy otherwise has come to it. */
const left = async (count: number) => {
  await expect.poll(directories, { timeout: 3_000 }).toHaveLength(count);
  await expect.poll(all, { timeout: 30_000 }).toHaveLength(count);
};
const staying = async (count: number) => {
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await directories()).toHaveLength(count);
};
const docker = (...args: string[]) => bed.docker.must(args);

test.for([1, 2, 3, 4, 5])("pull, run, rmi: the directories are gone, round %i", async () => {
  await docker("pull", "-q", one);
  expect(await directories()).toHaveLength(3);
  expect(await docker("run", "--rm", one, "cat", "/data/a/7")).toContain("a 7\n");
  await docker("rmi", one);
  await left(0);
});

test("rmi at once after pull, and pull at once after rmi", async () => {
  for (let round = 0; round < 5; round++) {
    await docker("pull", "-q", two);
    await docker("rmi", two);
  }
  await docker("pull", "-q", two);
  expect(await docker("run", "--rm", two, "cat", "/data/c/7")).toContain("c 7\n");
  await docker("rmi", two);
  await left(0);
});

test("two pulls of images that share a layer: each rmi takes its own layers only", async () => {
  await Promise.all([docker("pull", "-q", one), docker("pull", "-q", two)]);
  expect(await directories()).toHaveLength(4);
  await docker("rmi", one);
  await left(2);
  expect(await docker("run", "--rm", two, "ls", "/data")).toBe("c\n");
  await docker("rmi", two);
  await left(0);
});

test("rmi -f under a container: the layers stay until the container is removed", async () => {
  await docker("pull", "-q", one);
  const id = (await docker("create", one, "cat", "/data/b/3")).trim();
  await docker("rmi", "-f", one);
  await staying(4);
  expect(await docker("start", "-a", id)).toContain("b 3\n");
  await docker("rm", id);
  await left(0);
});
