import { writeFileSync } from "node:fs";
import { chainIds, MediaType, parsePlatform, shortId } from "@berth/oci";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listImages } from "../src/domain/list.ts";
import type { ImageUse } from "../src/domain/remove.ts";
import { addImage, type MadeImage, openTestStore, removeTestStore, type TestStore } from "./support.ts";

let store: TestStore;
beforeEach(async () => {
  store = await openTestStore();
});
afterEach(async () => {
  await store.close();
  removeTestStore(store);
});

const remove = (name: string, { force = false, inUse = [] as ImageUse[] } = {}) =>
  store.remover.remove(name, { force, noPrune: false, inUse });
const actions = () => store.events.map(({ action, actorId }) => `${action} ${actorId}`);

describe("names", () => {
  it("resolve as Docker's do", async () => {
    const { id, manifest } = await addImage(store, { content: ["a"] });
    await store.images.tag(manifest, "127.0.0.1:5000/busybox", manifest);
    await store.images.tag(id, "busybox:1", "");
    const hex = id.slice(7);
    for (const name of [
      "busybox:1",
      "docker.io/library/busybox:1",
      id,
      hex,
      hex.slice(0, 5),
      `sha256:${hex.slice(0, 9)}`,
    ]) {
      expect((await store.images.get(name)).image.id, name).toBe(id);
    }
    expect((await store.images.get(`127.0.0.1:5000/busybox@${manifest}`)).repoDigests).toEqual([
      `127.0.0.1:5000/busybox@${manifest}`,
    ]);
    expect((await store.images.get("busybox:1")).repoTags).toEqual(["127.0.0.1:5000/busybox:latest", "busybox:1"]);
    for (const [name, message] of [
      ["busybox", "No such image: busybox:latest"],
      ["me/x:2", "No such image: me/x:2"],
      [`sha256:${"0".repeat(64)}`, `No such image: sha256:${"0".repeat(64)}`],
      ["0123456789ab", "No such image: 0123456789ab:latest"],
    ] as const) {
      await expect(store.images.get(name)).rejects.toMatchObject({ message, reason: "NO_SUCH_IMAGE" });
    }
    await expect(store.images.get("Foo")).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    await expect(store.images.tag("nothing", "x", "")).rejects.toMatchObject({
      message: "No such image: nothing:latest",
    });
    expect(actions()).toEqual(["pull 127.0.0.1:5000/busybox:latest", `tag ${id}`]);
    expect(store.events).toMatchObject([{ name: "127.0.0.1:5000/busybox" }, { name: "busybox:1" }]);
  });

  it("move, and outlive a restart", async () => {
    const first = await addImage(store, { content: ["a"] });
    const second = await addImage(store, { content: ["b"] });
    expect(await store.images.tag(first.manifest, "x", first.manifest)).toEqual({ imageId: first.id, changed: true });
    expect(await store.images.tag(first.manifest, "x", first.manifest)).toEqual({ imageId: first.id, changed: false });
    expect(await store.images.tag(second.manifest, "x", second.manifest)).toEqual({
      imageId: second.id,
      changed: true,
    });
    await store.close();
    store = await openTestStore(store.dir);
    expect((await store.images.get("x")).image.id).toBe(second.id);
    const old = await store.images.get(first.id);
    expect([old.repoTags, old.repoDigests]).toEqual([[], [`x@${first.manifest}`]]);
  });

  it("choose among the platforms of an index", async () => {
    const amd = await addImage(store, { content: ["a"] });
    const arm = await addImage(store, { content: ["b"], architecture: "arm64" });
    const entry = (image: MadeImage, architecture: string) => ({
      mediaType: MediaType.ociManifest,
      digest: image.manifest,
      size: 1,
      platform: { os: "linux", architecture },
    });
    const index = {
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [entry(amd, "amd64"), entry(arm, "arm64")],
    };
    const { digest } = await store.content.putManifest("", Buffer.from(JSON.stringify(index)), "", "");
    await store.images.tag(amd.manifest, "multi", digest);
    expect((await store.images.get("multi", parsePlatform("linux/amd64"))).image.id).toBe(amd.id);
    await expect(store.images.get("multi", parsePlatform("linux/arm64"))).rejects.toMatchObject({
      message:
        "image with reference multi:latest was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)",
    });
    await store.images.tag(arm.manifest, "", "");
    expect((await store.images.get("multi", parsePlatform("linux/arm64"))).image.id).toBe(arm.id);
    expect((await store.images.get(`multi@${digest}`)).image.id).toBe(amd.id);
  });

  it("need content that is there and right", async () => {
    const { id, layers, manifest } = await addImage(store, { content: ["a"] });
    await store.images.tag(manifest, "x", "");
    const missing = { mediaType: MediaType.ociLayer, digest: `sha256:${"1".repeat(64)}`, size: 3 };
    const document = JSON.parse((await store.content.getManifest(manifest)).content.toString()) as { layers: object[] };
    const put = (value: object) => store.content.putManifest("", Buffer.from(JSON.stringify(value)), "", "");
    await expect(put({ ...document, layers: [missing] })).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(put({ ...document, layers: [] })).rejects.toThrow("the manifest has 0 layers, its config 1");
    await expect(put({ ...document, layers: [{ ...document.layers[0], size: 7 }] })).rejects.toThrow(
      "the manifest says 7",
    );
    await expect(store.content.putManifest("", Buffer.from("{}"), "", "")).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
    });
    await store.close();
    store = await openTestStore(store.dir);
    writeFileSync(store.blobs.path(id), "{}");
    await expect(store.images.get("x")).rejects.toMatchObject({ reason: "DATA_LOSS" });
    expect(await store.blobs.size(layers[0] ?? "")).toBeGreaterThan(0);
  });
});

describe("removal", () => {
  it("untags, then deletes with the last name", async () => {
    const { id, manifest } = await addImage(store, { content: ["a", "b"] });
    await store.images.tag(manifest, "x:1", manifest);
    await store.images.tag(id, "x:2", "");
    expect(await remove("x:1")).toEqual({ untagged: ["x:1"], deleted: [] });
    const layers = store.catalog.image(id)?.layers.map(({ chainId }) => chainId) ?? [];
    expect(await remove("x:2")).toEqual({ untagged: ["x:2", `x@${manifest}`], deleted: [id, ...layers.reverse()] });
    await expect(remove("x:2")).rejects.toMatchObject({ message: "No such image: x:2" });
    expect(await store.housekeeper.now()).toMatchObject({ blobs: 4 });
    expect(actions().slice(2)).toEqual([`untag ${id}`, `untag ${id}`, `delete ${id}`]);
  });

  it("keeps what other images share", async () => {
    const base = await addImage(store, { content: ["a"] });
    const more = await addImage(store, { content: ["a", "b"] });
    await store.images.tag(base.manifest, "base", "");
    await store.images.tag(more.manifest, "more", "");
    const chain = chainIds(store.catalog.image(more.id)?.layers.map(({ diffId }) => diffId) ?? []);
    expect((await remove("more")).deleted).toEqual([more.id, chain[1]]);
    await store.housekeeper.now();
    expect(await store.blobs.size(base.layers[0] ?? "")).toBeGreaterThan(0);
    expect(await store.blobs.size(more.layers[1] ?? "")).toBeUndefined();
  });

  it("refuses as Docker does", async () => {
    const { id, manifest } = await addImage(store, { content: ["a"] });
    await store.images.tag(manifest, "x", "");
    const short = shortId(id);
    const use = (running: boolean) => [{ imageId: id, containerId: "0123456789abcdef", running }];
    const conflict = (message: string) => ({ message, reason: "IN_USE" });
    await expect(remove("x", { inUse: use(false) })).rejects.toMatchObject(
      conflict(
        `conflict: unable to remove repository reference "x:latest" (must force) - container 0123456789ab is using its referenced image ${short}`,
      ),
    );
    await expect(remove(short, { inUse: use(false) })).rejects.toMatchObject(
      conflict(
        `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container 0123456789ab`,
      ),
    );
    await expect(remove(id, { inUse: use(true), force: true })).rejects.toMatchObject(
      conflict(
        `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container 0123456789ab`,
      ),
    );
    await store.images.tag(id, "y", "");
    await expect(remove(id)).rejects.toMatchObject(
      conflict(`conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories`),
    );
    const child = await addImage(store, { content: ["a", "b"], parent: id });
    await store.images.tag(child.manifest, "child", "");
    await expect(remove(id, { force: true })).rejects.toMatchObject(
      conflict(`conflict: unable to delete ${short} (cannot be forced) - image has dependent child images`),
    );
    expect((await store.images.get(id)).repoTags).toEqual(["x:latest", "y:latest"]);
    await remove("child");
    expect((await remove(id, { force: true })).untagged).toEqual(["x:latest", "y:latest"]);
  });

  it("leaves a container what it has", async () => {
    const { id, manifest } = await addImage(store, { content: ["a"] });
    await store.images.tag(manifest, "y", manifest);
    await store.images.tag(id, "x:1", "");
    const inUse = [{ imageId: id, containerId: "0123456789abcdef", running: false }];
    expect(await remove(id, { force: true, inUse })).toEqual({
      untagged: ["x:1", "y:latest", `y@${manifest}`],
      deleted: [id],
    });
    expect(actions().slice(2)).toEqual([`untag ${id}`, `untag ${id}`, `untag ${id}`, `delete ${id}`]);
  });

  it("takes parents along that nothing needs", async () => {
    const parent = await addImage(store, { content: ["a"] });
    await store.images.tag(parent.manifest, "", "");
    const child = await addImage(store, { content: ["a", "b"], parent: parent.id });
    await store.images.tag(child.manifest, "child", "");
    expect((await remove("child")).deleted.filter((digest) => [parent.id, child.id].includes(digest))).toEqual([
      child.id,
      parent.id,
    ]);
  });

  it("force is for the image that was named, never for a parent that has a name or a container", async () => {
    const parent = await addImage(store, { content: ["a"] });
    await store.images.tag(parent.manifest, "base", "");
    const child = await addImage(store, { content: ["a", "b"], parent: parent.id });
    await store.images.tag(child.manifest, "child", "");
    expect((await remove(child.id, { force: true })).deleted).not.toContain(parent.id);
    expect((await store.images.get("base")).repoTags).toEqual(["base:latest"]);
  });
});

describe("lists", () => {
  it("filter as Docker does", async () => {
    const old = await addImage(store, { content: ["a"], created: "2020-01-01T00:00:00Z", labels: { a: "1" } });
    const recent = await addImage(store, {
      content: ["b"],
      created: "2024-01-01T00:00:00Z",
      labels: { a: "2", b: "" },
    });
    const step = await addImage(store, { content: ["c"], created: "2023-01-01T00:00:00Z" });
    const result = await addImage(store, { content: ["c", "d"], created: "2023-06-01T00:00:00Z", parent: step.id });
    const dangling = await addImage(store, { content: ["e"], created: "2022-01-01T00:00:00Z" });
    await store.images.tag(old.manifest, "old:1", "");
    await store.images.tag(recent.manifest, "me/recent", "");
    await store.images.tag(step.manifest, "", "");
    await store.images.tag(result.manifest, "result", "");
    await store.images.tag(dangling.manifest, "", "");
    const list = (filters: Record<string, string[]>, all = false) =>
      listImages(store.catalog, new Map(Object.entries(filters)), all).map(({ id }) => id);
    expect(list({})).toEqual([recent.id, result.id, dangling.id, old.id]);
    expect(list({}, true)).toEqual([recent.id, result.id, step.id, dangling.id, old.id]);
    expect(list({ reference: ["old"] })).toEqual([old.id]);
    expect(list({ reference: ["*/*", "old:*"] })).toEqual([recent.id, old.id]);
    expect(list({ dangling: ["true"] })).toEqual([dangling.id]);
    expect(list({ dangling: ["0"], label: ["a"] })).toEqual([recent.id, old.id]);
    expect(list({ label: ["a=2", "b"] })).toEqual([recent.id]);
    expect(list({ before: ["result"], since: ["old:1"] })).toEqual([dangling.id]);
    expect(list({ until: ["2021-01-01"] })).toEqual([old.id]);
    expect(list({ until: ["24h"] })).toHaveLength(4);
    expect(() => list({ nonsense: ["1"] })).toThrow("invalid filter 'nonsense'");
    expect(() => list({ dangling: ["perhaps"] })).toThrow("invalid filter 'dangling=[perhaps]'");
    expect(() => list({ since: ["nothing"] })).toThrow("No such image: nothing:latest");
    expect(() => list({ reference: ["["] })).toThrow("syntax error in pattern");
  });
});

describe("garbage", () => {
  it("is what neither image nor lease names", async () => {
    const lease = await store.leases.create(60);
    const held = await addImage(store, { content: ["a"], lease });
    const loose = await addImage(store, { content: ["b"] });
    expect(await store.housekeeper.now()).toEqual({ blobs: 0, bytes: 0 });
    await store.close();
    // The grace for content without a lease does not outlast the process that gave it.
    store = await openTestStore(store.dir);
    expect(await store.housekeeper.now()).toMatchObject({ blobs: 3 });
    expect(store.catalog.manifest(loose.manifest)).toBeUndefined();
    await store.images.tag(held.manifest, "x", "");
    await store.leases.delete(lease);
    expect(await store.housekeeper.now()).toMatchObject({ blobs: 0 });
    await remove("x");
    expect(await store.housekeeper.now()).toMatchObject({ blobs: 3 });
    await expect(store.leases.hold(lease, [])).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(store.leases.create(86_401)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("does not come between an upload and its lease", async () => {
    const lease = await store.leases.create(60);
    const signal = new AbortController().signal;
    const reception = await store.receiver.begin({ digest: "", size: 0, lease, upload: "" }, signal);
    const collecting = [store.housekeeper.now()];
    await reception.upload?.write(Buffer.from("content"));
    collecting.push(store.housekeeper.now());
    const { digest } = await reception.commit();
    collecting.push(store.housekeeper.now());
    await Promise.all(collecting);
    expect(await store.blobs.size(digest)).toBe(7);
    await store.leases.expire(Date.now() + 100_000);
    expect(await store.housekeeper.now()).toMatchObject({ blobs: 1 });
  });
});
