// A disk of 24 MiB that something else fills up.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openStore, type Store } from "../../src/index.ts";

let dir: string;
let store: Store;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-full-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", dir]);
  store = await openStore(join(dir, "db"));
});

afterEach(async () => {
  await store.close();
  execFileSync("umount", [dir]);
  rmSync(dir, { recursive: true });
});

const free = () => statfsSync(dir).bavail;
const filler = () => join(dir, "filler");

async function fill(): Promise<void> {
  // The reserve is made behind the opening.
  while (free() > (20 * 1024 * 1024) / 4096) await new Promise((resolve) => setTimeout(resolve, 10));
  try {
    for (;;) writeFileSync(filler(), Buffer.alloc(4096), { flag: "a" });
  } catch {
    expect(free()).toBe(0);
  }
}

/** Writes until there is no room for more; gives what was written. */
async function writeAll(first: number): Promise<number[]> {
  const table = store.table<string>("things");
  const written: number[] = [];
  for (let n = first; ; n++) {
    try {
      await store.write([table.putOp(String(n), "x".repeat(5_000))]);
    } catch (error) {
      expect(String(error)).toContain("No space left on device");
      return written;
    }
    written.push(n);
  }
}

const keys = async () => (await Array.fromAsync(store.table("things").keys())).map(Number).sort((a, b) => a - b);

const room = "x".repeat(100_000);

it("a full disk refuses what is new, deletes what is there, and loses nothing that was written before or after", async () => {
  let table = store.table<string>("things");
  const early = Array.from({ length: 50 }, (_, n) => n);
  await store.write(early.map((n) => table.putOp(String(n), "early")));
  await fill();
  const late = await writeAll(100);
  await expect(store.write([table.putOp("no", room)])).rejects.toThrow("No space left on device");
  // Again and again, and with others beside it.
  await store.write([table.delOp("0")]);
  const [alone, both] = await Promise.allSettled([
    store.write([table.putOp("no", room)]),
    store.write([table.delOp("1"), table.putOp("instead", "of 1")]),
  ]);
  expect([alone.status, both.status]).toEqual(["rejected", "fulfilled"]);
  expect(await table.get("instead")).toBe("of 1");
  await store.write([table.delOp("instead")]);
  // It opens on a full disk too.
  await store.close();
  store = await openStore(join(dir, "db"));
  expect(await keys()).toEqual([...early.slice(2), ...late]);
  rmSync(filler());
  table = store.table<string>("things");
  await store.write([table.putOp("1000", "room again")]);
  await store.close();
  store = await openStore(join(dir, "db"));
  expect(await keys()).toEqual([...early.slice(2), ...late, 1000]);
});
