// N containers made, started and deleted leave no descriptor, mount, cgroup, namespace, process or file behind. N is 100,
// or BERTH_LEAK_CONTAINERS (`npm run test:leak`: 1000).
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bed, census } from "./oci-bed.ts";

const total = Number(process.env["BERTH_LEAK_CONTAINERS"] ?? 100);
let bed: Bed;
beforeAll(async () => {
  bed = await Bed.open();
});
afterAll(() => bed.close());

/** Objects of the kernel that a namespace or mount takes, machine-wide: others' come and go too. */
async function kernelObjects(): Promise<Map<string, number>> {
  const wanted = ["net_namespace", "pid_namespace", "mnt_cache"];
  // What a CPU keeps at hand for the next object counts as in use until it is given back.
  for (const name of wanted) await writeFile(`/sys/kernel/slab/${name}/shrink`, "1").catch(() => undefined);
  const lines = (await readFile("/proc/slabinfo", "utf8")).split("\n").map((line) => line.split(/\s+/));
  return new Map(
    lines.filter(([name]) => wanted.includes(name ?? "")).map(([name, active]) => [name ?? "", Number(active)]),
  );
}

async function one(index: number): Promise<void> {
  const id = bed.id();
  const made = await bed.detached(["create", "--bundle", bed.directory, id]);
  expect(made, `container ${index}`).toMatchObject({ code: 0 });
  expect(await bed.cli(["start", id])).toMatchObject({ code: 0 });
  if (index % 3 === 0) expect(await bed.cli(["exec", id, "true"])).toMatchObject({ code: 0 });
  expect(await bed.cli(["delete", "--force", id])).toMatchObject({ code: 0 });
}

test(`${total} containers leave nothing`, { timeout: 60_000 + total * 2_000 }, async () => {
  await bed.write(bed.config((config) => (config.process.args = ["sleep", "1000"])));
  await one(0);
  const before = await census();
  const objects = await kernelObjects();
  for (let index = 1; index <= total; index++) await one(index);
  expect(await census()).toEqual(before);
  // A container that left one namespace or one mount behind would show as `total`, one that left its mount namespace as twenty times
  // that. Half of it is more than other programs of the machine make meanwhile; 64 is what a slab holds back when total is small.
  const limit = Math.max(64, total / 2);
  const grown = async () =>
    [...(await kernelObjects())]
      .map(([name, count]) => ({ name, by: count - (objects.get(name) ?? 0) }))
      .filter(({ by }) => by >= limit);
  // The kernel takes network namespaces down one after the other, 10 to 20 ms each, and frees mounts after a grace period.
  await expect.poll(grown, { timeout: 5_000 + total * 20, interval: 250 }).toEqual([]);
  expect(await readdir(join(bed.directory, "state"))).toEqual([]);
});
