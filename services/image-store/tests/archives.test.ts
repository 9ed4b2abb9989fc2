import { readdirSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { digestOf, MediaType } from "@berth/oci";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LoadMessage } from "../src/domain/archive/contents.ts";
import { importTar } from "../src/domain/archive/import.ts";
import { load } from "../src/domain/archive/load.ts";
import { save } from "../src/domain/archive/save.ts";
import { bzip2 } from "./samples.ts";
import { addImage, openTestStore, removeTestStore, type TestStore, tarOf } from "./support.ts";

let store: TestStore;
beforeEach(async () => {
  store = await openTestStore();
});
afterEach(async () => {
  await store.close();
  removeTestStore(store);
});

const signal = new AbortController().signal;

/** In pieces that fall anywhere, as a network brings them. */
async function* pieces(content: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += size) yield content.subarray(at, at + size);
}

async function loaded(archive: Buffer, size?: number): Promise<string[]> {
  const messages: LoadMessage[] = [];
  await load(store, pieces(archive, size), (message) => messages.push(message), signal);
  return messages.flatMap((message) => ("loaded" in message ? [message.loaded] : []));
}

async function saved(...references: string[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of save(store, references, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const configOf = (...layers: Buffer[]) =>
  JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: layers.map(digestOf) } });

describe("load", () => {
  it("takes what docker save has written for years, linked layers and all", async () => {
    const layer = await tarOf({ file: "content" });
    const config = configOf(layer, layer, layer);
    const id = digestOf(config);
    const archive = await tarOf({
      "aaaa/VERSION": "1.0",
      "aaaa/json": "{}",
      "aaaa/layer.tar": layer,
      "bbbb/layer.tar": { symlink: "../aaaa/layer.tar" },
      "cccc/layer.tar": { link: "aaaa/layer.tar" },
      [`${id.slice(7)}.json`]: config,
      "manifest.json": JSON.stringify([
        {
          Config: `${id.slice(7)}.json`,
          RepoTags: ["old:1", "me/old:2"],
          Layers: ["aaaa/layer.tar", "bbbb/layer.tar", "cccc/layer.tar"],
        },
      ]),
      repositories: "{}",
    });
    expect(await loaded(archive)).toEqual(["Loaded image: old:1", "Loaded image: me/old:2"]);
    const { image, repoTags } = await store.images.get("old:1");
    expect([image.id, repoTags]).toEqual([id, ["old:1", "me/old:2"]]);
    expect(image.layers.map(({ blob, diffId }) => [blob.digest, blob.mediaType, diffId])).toEqual(
      Array(3).fill([digestOf(layer), MediaType.ociLayer, digestOf(layer)]),
    );
    expect(store.events.map(({ action, actorId }) => [action, actorId])).toEqual([
      ["load", id],
      ["load", id],
    ]);
    for (const packed of [gzipSync(archive), zstdCompressSync(archive)]) {
      expect(await loaded(packed, 77)).toEqual(["Loaded image: old:1", "Loaded image: me/old:2"]);
    }
    await store.housekeeper.now();
    expect((await store.images.get("old:1")).image.id).toBe(id);
    expect(readdirSync(store.blobs.layout.uploads)).toEqual([]);
  });

  it("takes back what save gives, the same to the digest", async () => {
    const first = await addImage(store, { content: ["a", "b"] });
    const second = await addImage(store, { content: ["a", "c"] });
    await store.images.tag(first.manifest, "127.0.0.1:5000/x:1", first.manifest);
    await store.images.tag(first.id, "x:2", "");
    await store.images.tag(second.manifest, "x:3", "");
    await store.images.tag(second.manifest, "", "");
    const archive = await saved("127.0.0.1:5000/x:1", "x", second.id.slice(7, 20));
    expect(archive.equals(await saved("127.0.0.1:5000/x:1", "x", second.id))).toBe(true);
    await expect(saved("nothing")).rejects.toMatchObject({ message: "No such image: nothing" });
    const other = await openTestStore();
    const before = store;
    try {
      store = other;
      expect(await loaded(archive, 100_000)).toEqual([
        "Loaded image: 127.0.0.1:5000/x:1",
        "Loaded image: x:2",
        "Loaded image: x:3",
      ]);
      expect((await store.images.get("x:2")).image).toMatchObject({ id: first.id, manifests: [first.manifest] });
      expect((await store.images.get("x:3")).image).toMatchObject({ id: second.id, manifests: [second.manifest] });
      expect((await saved("127.0.0.1:5000/x:1", "x")).equals(archive)).toBe(true);
    } finally {
      store = before;
      await other.close();
      removeTestStore(other);
    }
  });

  it("takes archives of before manifest.json: an image a directory, empty layers, names apart", async () => {
    const [bottom, top] = ["1".repeat(64), "2".repeat(64)];
    const layer = await tarOf({ file: "content" });
    const documents = {
      [bottom]: { id: bottom, created: "2013-06-13T14:03:50Z", comment: "Imported", architecture: "x86_64" },
      [top]: {
        ...{ id: top, parent: bottom, created: "2015-03-04T21:38:56Z", architecture: "amd64", os: "linux", Size: 5 },
        container_config: { Cmd: ["/bin/sh", "-c", "#(nop) ADD x"] },
        config: { Cmd: ["sh"] },
      },
    };
    const archive = (repositories: object, more: object = {}) =>
      tarOf({
        [`${top}/VERSION`]: "1.0",
        [`${top}/json`]: JSON.stringify({ ...documents[top], ...more }),
        [`${top}/layer.tar`]: layer,
        [`${bottom}/json`]: JSON.stringify(documents[bottom]),
        [`${bottom}/layer.tar`]: Buffer.alloc(0),
        repositories: JSON.stringify(repositories),
      });
    expect(await loaded(await archive({ "me/old": { one: top } }))).toEqual([]);
    const { image, config } = await store.images.get("me/old:one");
    const empty = digestOf(Buffer.alloc(0));
    expect(image.layers.map(({ diffId }) => diffId)).toEqual([empty, digestOf(layer)]);
    const json = JSON.parse(config.toString()) as Record<string, unknown>;
    expect(Object.keys(json)).toEqual([
      "architecture",
      "config",
      "container_config",
      "created",
      "history",
      "os",
      "rootfs",
    ]);
    expect(json["history"]).toEqual([
      { created: "2013-06-13T14:03:50Z", comment: "Imported" },
      { created: "2015-03-04T21:38:56Z", created_by: "/bin/sh -c #(nop) ADD x" },
    ]);
    const parent = await store.images.get(image.parent);
    expect(parent.image.layers.map(({ diffId }) => diffId)).toEqual([empty]);
    await expect(loaded(await archive({ x: { y: "3".repeat(64) } }))).rejects.toThrow("invalid target ID: 333");
    await expect(loaded(await archive({}, { parent: top }))).rejects.toThrow("is its own parent");
    await expect(loaded(await archive({}, { parent: "4" }))).rejects.toThrow('"4/json" is not in it');
    await expect(loaded(await archive({}, { os: "plan9" }))).rejects.toThrow("cannot load plan9 image on linux");
  });

  it("keeps what an image was made on, when that is in the archive too", async () => {
    const parent = await addImage(store, { content: ["a"] });
    await store.images.create(parent.manifest, "");
    const child = await addImage(store, { content: ["a", "b"] });
    await store.images.create(child.manifest, parent.id);
    const both = await saved(child.id, parent.id);
    const alone = await saved(child.id);
    const before = store;
    store = await openTestStore();
    try {
      await loaded(alone);
      expect((await store.images.get(child.id)).image.parent).toBe("");
      await loaded(both, 100_000);
      expect((await store.images.get(child.id)).image.parent).toBe(parent.id);
      expect((await store.images.get(parent.id)).image.parent).toBe("");
      await expect(store.images.setParent(parent.id, child.id)).rejects.toMatchObject({
        reason: "INVALID_ARGUMENT",
        message: `image ${child.id} is not a valid parent for ${parent.id}`,
      });
      await expect(store.images.setParent(child.id, child.id)).rejects.toThrow("is not a valid parent");
    } finally {
      await store.close();
      removeTestStore(store);
      store = before;
    }
  });

  it("takes OCI layouts, also with an index in them", async () => {
    const layer = gzipSync(await tarOf({ file: "content" }));
    const config = configOf(await tarOf({ file: "content" }));
    const blob = (content: string | Buffer) => ({ digest: digestOf(content), size: content.length });
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, ...blob(config) },
      layers: [{ mediaType: MediaType.ociLayerGzip, ...blob(layer) }],
    });
    const platform = { os: "linux", architecture: "amd64" };
    const absent = {
      mediaType: MediaType.ociManifest,
      ...blob("absent"),
      platform: { os: "linux", architecture: "arm64" },
    };
    const inner = JSON.stringify({
      schemaVersion: 2,
      mediaType: MediaType.ociIndex,
      manifests: [{ mediaType: MediaType.ociManifest, ...blob(manifest), platform }, absent],
    });
    const named = { annotations: { "org.opencontainers.image.ref.name": "docker.io/me/layout:3" } };
    const layout = (entry: object) => ({
      "oci-layout": '{"imageLayoutVersion":"1.0.0"}',
      "index.json": JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
      ...Object.fromEntries(
        [layer, config, manifest, inner].map((each) => [`blobs/sha256/${digestOf(each).slice(7)}`, each]),
      ),
    });
    const direct = await tarOf(layout({ mediaType: MediaType.ociManifest, ...blob(manifest), ...named }));
    expect(await loaded(direct)).toEqual(["Loaded image: me/layout:3"]);
    const nested = await tarOf(layout({ mediaType: MediaType.ociIndex, ...blob(inner) }));
    expect(await loaded(nested)).toEqual([`Loaded image ID: ${digestOf(config)}`]);
    expect((await store.images.get("me/layout:3")).image.manifests).toEqual([digestOf(manifest)]);
  });

  it("takes what is unusual: an image without layers, and a layout whose manifest the standard does not know", async () => {
    const bare = JSON.stringify({
      architecture: "amd64",
      os: "linux",
      created: null,
      config: { OnBuild: null },
      rootfs: { type: "layers", diff_ids: null },
    });
    const list = JSON.stringify([{ Config: "c.json", RepoTags: null, Layers: null }]);
    expect(await loaded(await tarOf({ "c.json": bare, "manifest.json": list }))).toEqual([
      `Loaded image ID: ${digestOf(bare)}`,
    ]);
    const layer = await tarOf({ file: "unusual" });
    const config = configOf(layer);
    const blob = (of: string | Buffer) => ({ digest: digestOf(of), size: Buffer.byteLength(of) });
    const manifest = JSON.stringify({ mediaType: MediaType.ociManifest, config: blob(config), layers: [blob(layer)] });
    const path = (text: string | Buffer) => `blobs/sha256/${digestOf(text).slice(7)}`;
    const archive = await tarOf({
      [path(layer)]: layer,
      [path(config)]: config,
      [path(manifest)]: manifest,
      "index.json": JSON.stringify({
        schemaVersion: 2,
        manifests: [{ mediaType: MediaType.ociManifest, ...blob(manifest) }],
      }),
      "manifest.json": JSON.stringify([{ Config: path(config), RepoTags: ["unusual:1"], Layers: [path(layer)] }]),
    });
    expect(await loaded(archive)).toEqual(["Loaded image: unusual:1"]);
  });

  it("refuses what is wrong, and keeps nothing of it", async () => {
    const layer = await tarOf({ file: "content" });
    const config = configOf(await tarOf({ file: "other" }));
    const archive = (entry: object) =>
      tarOf({
        "l.tar": layer,
        "c.json": config,
        "manifest.json": JSON.stringify([{ Config: "c.json", RepoTags: ["x"], ...entry }]),
      });
    const cases: [Buffer, string][] = [
      [await archive({ Layers: ["l.tar"] }), `invalid diffID for layer 0: expected "`],
      [await archive({ Layers: [] }), "invalid manifest, layers length mismatch: expected 1, got 0"],
      [await archive({ Layers: ["../../etc/passwd"] }), `invalid archive: "../../etc/passwd" is not in it`],
      [await archive({ Layers: "l.tar" }), "invalid archive: manifest.json is not a list of images"],
      [await tarOf({ "manifest.json": "{" }), "invalid archive: manifest.json is not a list of images"],
      [await tarOf({ file: "x" }), "invalid archive: it has neither manifest.json nor index.json"],
      [await tarOf({ [`blobs/sha256/${"0".repeat(64)}`]: "x" }), `blob sha256:${"0".repeat(64)} has digest`],
      [
        await tarOf({ a: { symlink: "a" }, "manifest.json": '[{"Config":"a","Layers":[]}]' }),
        `invalid archive: "a" is not in it`,
      ],
      [Buffer.alloc(2000, "x"), "archive/tar: invalid tar header"],
      [(await archive({ Layers: ["l.tar"] })).subarray(0, 3000), "unexpected EOF"],
      [gzipSync(await archive({ Layers: ["l.tar"] })).subarray(0, 200), "unexpected EOF"],
      [bzip2, "archives packed with bzip2 are not read"],
      [Buffer.alloc(0), "invalid archive"],
    ];
    for (const [bytes, message] of cases) await expect(loaded(bytes), message).rejects.toThrow(message);
    expect(store.events).toEqual([]);
    await store.housekeeper.now();
    expect(await Array.fromAsync(store.blobs.list())).toEqual([]);
    expect(readdirSync(store.blobs.layout.uploads)).toEqual([]);
  });
});

describe("import", () => {
  const options = { reference: "root:1", comment: "mine", config: Buffer.from('{"Cmd":["sh"]}'), platform: undefined };

  it("makes an image of a root file system", async () => {
    const tar = await tarOf({ "bin/sh": "x".repeat(100_000) });
    for (const [packed, mediaType] of [
      [tar, MediaType.ociLayer],
      [gzipSync(tar), MediaType.ociLayerGzip],
      [zstdCompressSync(tar), MediaType.ociLayerZstd],
    ] as const) {
      const id = await importTar(store, options, pieces(packed), signal);
      const { image, config } = await store.images.get("root:1");
      expect(image.id).toBe(id);
      expect(image.layers).toMatchObject([{ diffId: digestOf(tar), blob: { digest: digestOf(packed), mediaType } }]);
      expect(JSON.parse(config.toString())).toMatchObject({ config: { Cmd: ["sh"] }, comment: "mine", os: "linux" });
    }
    expect(store.events.map(({ action }) => action)).toEqual(["import", "import", "import"]);
  });

  it("is for Linux alone", async () => {
    const tar = await tarOf({ a: "b" });
    const platform = { os: "darwin", architecture: "arm64" };
    await expect(importTar(store, { ...options, platform }, pieces(tar), signal)).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
      message: "operating system is not supported",
    });
  });

  it("refuses what is no tar", async () => {
    const attempt = (content: Buffer, more = {}) => importTar(store, { ...options, ...more }, pieces(content), signal);
    await expect(attempt(Buffer.alloc(100_000, "x"))).rejects.toThrow("invalid tar header");
    await expect(attempt(gzipSync(await tarOf({ a: "b".repeat(100) })).subarray(0, 60))).rejects.toThrow(
      "unexpected EOF",
    );
    await expect(attempt(await tarOf({ a: "b" }), { reference: "Not Valid" })).rejects.toThrow(
      "invalid reference format",
    );
    await expect(attempt(await tarOf({ a: "b" }), { config: Buffer.from("[]") })).rejects.toThrow("not a JSON object");
    await store.housekeeper.now();
    expect(await Array.fromAsync(store.blobs.list())).toEqual([]);
    expect(readdirSync(store.blobs.layout.uploads)).toEqual([]);
  });
});
