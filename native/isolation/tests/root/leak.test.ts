// N containers made, started and deleted leave no descriptor, mount, cgroup, namespace, process or file behind. N is 100,
// or BERTH_LEAK_CONTAINERS (`npm run test:leak`: 1000).
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bed, census, execute } from "./oci-bed.ts";

const total = Number(process.env["BERTH_LEAK_CONTAINERS"] ?? 100);
let bed: Bed;
beforeAll(async () => {
  bed = await Bed.open();
});
afterAll(() => bed.close());

/** Network namespaces that hold nothing alive: each costs the kernel work even when no process is in it. */
const slab = async () => (await execute("/bin/sh", ["-c", "lsns -n -t net 2>/dev/null | wc -l"])).out.trim();

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
  const before = { ...(await census()), namespaces: await slab() };
  for (let index = 1; index <= total; index++) await one(index);
  expect({ ...(await census()), namespaces: await slab() }).toEqual(before);
  expect(await readdir(join(bed.directory, "state"))).toEqual([]);
});
