import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStore, raw, type Store } from "../src/index.ts";

let dir: string;
let store: Store;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-store-"));
  store = await openStore(join(dir, "deep/db"));
});

afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => Array.fromAsync(items);

describe("tables", () => {
  it("get what was put, and undefined for what was not", async () => {
    const table = store.table<{ n: number }>("things");
    await store.write([table.putOp("a", { n: 1 }), table.putOp("ü", { n: 2 })]);
    expect(await table.get("a")).toEqual({ n: 1 });
    expect(await table.getMany(["ü", "x"])).toEqual([{ n: 2 }, undefined]);
    expect(await table.has("x")).toBe(false);
    await store.write([table.delOp("a")]);
    expect(await table.get("a")).toBeUndefined();
  });

  it("do not reach into each other, whatever their names", async () => {
    const names = ["t", "t-1", "t0", "ta"];
    const tables = names.map((name) => store.table<string>(name));
    await store.write(tables.flatMap((table, i) => [table.putOp("k", names[i] ?? ""), table.putOp("0/x", "deep")]));
    for (const [i, table] of tables.entries()) {
      expect(await all(table.entries())).toEqual([
        ["0/x", "deep"],
        ["k", names[i]],
      ]);
    }
    expect(() => store.table("a/b")).toThrow("not a table name");
  });

  it("scan by prefix, range, limit and in reverse", async () => {
    const table = store.table<number>("scan");
    await store.write(["a1", "a2", "b1", "b2", "c"].map((key, i) => table.putOp(key, i)));
    const keys = (range: Parameters<typeof table.keys>[0]) => all(table.keys(range));
    expect(await keys({ prefix: "b" })).toEqual(["b1", "b2"]);
    expect(await keys({ prefix: "a", reverse: true, limit: 1 })).toEqual(["a2"]);
    expect(await keys({ gte: "a2", lt: "c" })).toEqual(["a2", "b1", "b2"]);
    expect(await keys({ gte: "b2" })).toEqual(["b2", "c"]);
  });

  it("hold bytes with the raw codec", async () => {
    const table = store.table("bytes", raw);
    await store.write([table.putOp("k", new Uint8Array([0, 255, 1]))]);
    expect([...((await table.get("k")) ?? [])]).toEqual([0, 255, 1]);
  });
});

describe("writes", () => {
  it("keep the order of the calls, lazy or not, and survive reopening", async () => {
    const table = store.table<number>("order");
    const writes = Array.from({ length: 200 }, (_, i) =>
      i % 3 === 0
        ? store.writeLazy([table.putOp("k", i)])
        : store.write([table.putOp("k", i), table.putOp(`n${i}`, i)]),
    );
    await Promise.all(writes);
    expect(await table.get("k")).toBe(199);
    await store.close();
    store = await openStore(store.path);
    expect(await store.table<number>("order").get("k")).toBe(199);
  });

  it("tell an op that it is committed, after it is", async () => {
    const table = store.table<string>("told");
    let seen: Promise<string | undefined> | undefined;
    await store.write([{ ...table.putOp("k", "v"), committed: () => (seen = table.get("k")) }]);
    expect(await seen).toBe("v");
  });

  it("that were asked for are finished by close; later ones are refused", async () => {
    const table = store.table<number>("late");
    const write = store.write([table.putOp("k", 1)]);
    await store.close();
    await expect(write).resolves.toBeUndefined();
    await expect(store.write([table.putOp("k", 2)])).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  });
});

it("says so when another holds the store", async () => {
  await expect(openStore(store.path)).rejects.toMatchObject({
    reason: "IN_USE",
    message: expect.stringContaining("in use by another process"),
  });
});
