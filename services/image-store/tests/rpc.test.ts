// Every call over real gRPC, on a unix socket.
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ImageStoreDefinition, type LoadImagesRequest } from "@berth/api/images";
import { createLogger } from "@berth/log";
import { digestOf, MediaType } from "@berth/oci";
import { type Client, type Clients, createClients, createRpcServer, type RpcServer } from "@berth/rpc";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LocalUploads } from "../src/rpc/local-uploads.ts";
import { imageStoreService } from "../src/rpc/service.ts";
import { addImage, openTestStore, removeTestStore, type TestStore, tarOf } from "./support.ts";

const log = createLogger({ service: "test", level: "silent" });
let store: TestStore;
let server: RpcServer;
let clients: Clients;
let images: Client<typeof ImageStoreDefinition>;
let localUploads: LocalUploads;

beforeEach(async () => {
  store = await openTestStore();
  localUploads = await LocalUploads.open(join(store.dir, "uploads.sock"));
  const address = `unix:${join(store.dir, "rpc.sock")}`;
  server = createRpcServer({ config: { listen: [address], metricsListen: undefined }, log });
  server.add(ImageStoreDefinition, imageStoreService({ ...store, hostId: "here", localUploads }));
  await server.listen();
  clients = createClients(undefined, { hostId: "here", log });
  images = clients.at(ImageStoreDefinition, address);
});
afterEach(async () => {
  clients.close();
  await server.drain(0);
  await localUploads.close();
  await store.close();
  removeTestStore(store);
});

async function* inPieces(content: Buffer, size = 50_000): AsyncGenerator<{ data: Buffer<ArrayBuffer> }> {
  for (let at = 0; at < content.length; at += size) yield { data: Buffer.from(content.subarray(at, at + size)) };
  yield { data: Buffer.alloc(0) };
}

async function load(requests: AsyncIterable<LoadImagesRequest>): Promise<string[]> {
  const loaded: string[] = [];
  for await (const { message } of images.loadImages(requests))
    if (message?.$case === "loaded") loaded.push(message.value);
  return loaded;
}

describe("the image store's calls", () => {
  it("name, list, show and remove", async () => {
    const { id, manifest } = await addImage(store, { content: ["a"], labels: { key: "value" } });
    expect(await images.tagImage({ source: manifest, target: "x:1", pulledDigest: manifest })).toEqual({
      imageId: id,
      changed: true,
    });
    const { image } = await images.getImage({ reference: "x:1", platform: { os: "linux", architecture: "amd64" } });
    expect(image).toMatchObject({
      id,
      manifestDigest: manifest,
      repoTags: ["x:1"],
      repoDigests: [`x@${manifest}`],
      labels: { key: "value" },
      platform: { os: "linux", architecture: "amd64" },
      created: { seconds: Date.parse("2024-01-01T00:00:00Z") / 1000, nanos: 0 },
    });
    expect(digestOf(image?.config ?? "")).toBe(id);
    expect(image?.storedSize).toBeGreaterThan(0);
    await expect(images.getImage({ reference: "nothing" })).rejects.toMatchObject({
      reason: "NO_SUCH_IMAGE",
      message: "No such image: nothing:latest",
    });
    const listed = await images.listImages({ brief: true, filters: { label: { values: ["key=value"] } } });
    expect(listed.images.map(({ id: each, config }) => [each, config.length])).toEqual([[id, 0]]);
    const inUse = [{ imageId: id, containerId: "0123456789abcdef", running: true }];
    await expect(images.removeImage({ reference: "x:1", inUse })).rejects.toMatchObject({ reason: "IN_USE" });
    const { untagged, deleted } = await images.removeImage({ reference: "x:1" });
    expect([untagged, deleted[0]]).toEqual([["x:1", `x@${manifest}`], id]);
    // The blobs follow by themselves.
    await expect.poll(async () => (await Array.fromAsync(store.blobs.list())).length).toBe(0);
    expect(await images.collectGarbage({})).toEqual({ blobs: 0, bytes: 0 });
  });

  it("store manifests under leases", async () => {
    const { lease } = await images.createLease({ ttlSeconds: 60 });
    const { manifest } = await addImage(store, { content: ["a"], lease });
    const { content, descriptor } = await images.getManifest({ digest: manifest });
    expect(descriptor).toMatchObject({ digest: manifest, mediaType: MediaType.ociManifest, size: content.length });
    expect((await images.putManifest({ content, lease })).descriptor?.digest).toBe(manifest);
    await expect(images.putManifest({ content, digest: digestOf("x") })).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
    });
    await images.deleteLease({ lease });
    expect(await images.collectGarbage({})).toMatchObject({ blobs: 3 });
    await expect(images.getManifest({ digest: manifest })).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(images.statBlob({ digest: manifest })).rejects.toMatchObject({ reason: "NOT_FOUND" });
    await expect(images.statBlob({ digest: "nonsense" })).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("save, load and import", async () => {
    const { manifest } = await addImage(store, { content: ["a", "b"] });
    await images.tagImage({ source: manifest, target: "x:1" });
    const chunks: Buffer[] = [];
    for await (const { data } of images.saveImages({ references: ["x:1"] })) chunks.push(data);
    await images.removeImage({ reference: "x:1" });
    await images.collectGarbage({});
    expect(await load(inPieces(gzipSync(Buffer.concat(chunks)), 1000))).toEqual(["Loaded image: x:1"]);
    expect((await images.getImage({ reference: "x:1" })).image?.manifestDigest).toBe(manifest);
    await expect(load(inPieces(Buffer.alloc(3000, 1)))).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    const tar = await tarOf({ file: Buffer.alloc(300_000, "x") });
    const { imageId } = await images.importImage(
      (async function* () {
        yield { message: { $case: "start" as const, value: { reference: "imported", comment: "by hand" } } };
        for await (const { data } of inPieces(tar)) yield { message: { $case: "data" as const, value: data } };
      })(),
    );
    expect((await images.getImage({ reference: "imported" })).image).toMatchObject({ id: imageId, comment: "by hand" });
  });

  it("keep what a broken upload brought", async () => {
    const content = Buffer.alloc(1_000_000, "content");
    const digest = digestOf(content);
    const broken = images.writeBlob(
      (async function* () {
        yield { message: { $case: "start" as const, value: { digest, size: content.length } } };
        yield { message: { $case: "data" as const, value: content.subarray(0, 400_000) as Buffer<ArrayBuffer> } };
      })(),
    );
    await expect(Array.fromAsync(broken)).rejects.toMatchObject({ reason: "CANCELLED" });
    expect(await images.statBlob({ digest })).toEqual({ size: 400_000, complete: false });
    const answers = await Array.fromAsync(
      images.writeBlob(
        (async function* () {
          yield { message: { $case: "start" as const, value: { digest, size: content.length } } };
          yield { message: { $case: "data" as const, value: content.subarray(400_000) as Buffer<ArrayBuffer> } };
          yield { message: { $case: "commit" as const, value: {} } };
        })(),
      ),
    );
    expect(answers.map(({ message }) => message)).toMatchObject([
      { $case: "offset", value: 400_000 },
      { $case: "committed", value: { digest, size: content.length } },
    ]);
    expect(await images.statBlob({ digest, verify: true })).toEqual({ size: content.length, complete: true });
  });
});
