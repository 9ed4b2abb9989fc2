import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LayerStatus, type PullResponse } from "@berth/api/registry";
import type { EventRecord } from "@berth/bus";
import { digestOf } from "@berth/oci";
import { pushBusybox, type Registry, startRegistry } from "@berth/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { addFakeImage, type FakeImage, type FakeRegistry, startFakeRegistry } from "./support/fake-registry.ts";
import { type Running, startServices } from "./support/services.ts";

let dir: string;
let registry: Registry;
let fake: FakeRegistry;
let services: Running;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-pull-"));
  fake = await startFakeRegistry();
  registry = await startRegistry({ dir, port: 5117 });
  await pushBusybox(registry.host);
  services = await startServices();
}, 60_000);
afterAll(async () => {
  await services?.close();
  await registry?.stop();
  await fake?.close();
  rmSync(dir, { recursive: true, force: true });
}, 30_000);
afterEach(() => {
  fake.intercept = undefined;
});

type Message = NonNullable<PullResponse["message"]>;
type Seen = { [C in Message["$case"]]: Extract<Message, { $case: C }>["value"][] };

async function pull(reference: string, signal?: AbortSignal): Promise<Seen> {
  const seen: Seen = { resolved: [], plan: [], layer: [], done: [] };
  for await (const { message } of services.proxy.pull({ reference }, signal ? { signal } : {})) {
    if (message !== undefined) (seen[message.$case] as unknown[]).push(message.value);
  }
  return seen;
}

/** Lets a layer's download stop after `bytes`, without ending it, until the returned function is called. */
function holdLayer(
  image: FakeImage,
  bytes: number,
): { held: Promise<void>; release: () => void; ranges: (string | undefined)[] } {
  const digest = image.layers[0] ?? "";
  const blob = fake.blobs.get(digest) ?? Buffer.alloc(0);
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const ranges: (string | undefined)[] = [];
  fake.intercept = ({ url, headers }, response) => {
    if (!url?.endsWith(digest)) return false;
    ranges.push(headers.range);
    if (ranges.length > 1) return false;
    response.writeHead(200, { "content-length": blob.length }).write(blob.subarray(0, bytes));
    held.resolve();
    void released.promise.then(() => response.end(blob.subarray(bytes)));
    return true;
  };
  return { held: held.promise, release: released.resolve, ranges };
}

const partOf = (digest: string) => join(services.dir, "root/image-store/uploads", digest.replace(":", "-"));
const partSize = async (digest: string) => (await services.images.statBlob({ digest }).catch(() => ({ size: 0 }))).size;

async function read(
  digest: string,
  hostId: string,
  follow: boolean,
): Promise<{ data: Buffer; path: string; available: number[] }> {
  const data: Buffer[] = [];
  const available: number[] = [];
  let path = "";
  for await (const { message } of services.images.readBlob({ digest, follow, hostId })) {
    if (message?.$case === "info") path = message.value.path;
    if (message?.$case === "data") data.push(message.value);
    if (message?.$case === "available") available.push(message.value);
  }
  return { data: Buffer.concat(data), path, available };
}

describe("a pull from a real registry", () => {
  it("brings the image into the store, named, and tells so", async () => {
    const name = `${registry.host}/busybox`;
    const event = nextEvent("pull");
    const { resolved, plan, layer, done } = await pull(name);
    expect(resolved).toMatchObject([{ name: "busybox", tag: "latest" }]);
    expect(plan[0]?.layers).toHaveLength(1);
    expect(layer.map(({ status }) => status)).toContain(LayerStatus.DOWNLOADED);
    expect(done).toMatchObject([{ changed: true, digest: resolved[0]?.descriptor?.digest, imageId: plan[0]?.imageId }]);
    const { image } = await services.images.getImage({ reference: name });
    expect(image).toMatchObject({ repoTags: [`${name}:latest`], repoDigests: [`${name}@${done[0]?.digest}`] });
    expect(await event).toMatchObject({
      type: "image",
      actorId: `${name}:latest`,
      attributes: { name },
      nodeId: "node1",
    });
    const again = await pull(name);
    expect(again.done[0]?.changed).toBe(false);
    expect(again.layer.map(({ status }) => status)).toEqual([LayerStatus.EXISTS]);
    const byDigest = `${name}@${done[0]?.digest}`;
    expect((await pull(byDigest)).resolved).toMatchObject([{ name: "busybox", tag: byDigest }]);
    await expect(pull(`${name}:none`)).rejects.toMatchObject({
      message: `manifest for ${name}:none not found: manifest unknown: manifest unknown`,
      reason: "NOT_FOUND",
    });
    const { descriptor, platforms } = await services.proxy.resolve({ reference: name });
    expect(descriptor?.digest).toBe(done[0]?.digest);
    expect(platforms).toMatchObject([{ os: "linux" }]);
  });

  async function nextEvent(action: string): Promise<EventRecord | undefined> {
    for await (const event of services.bus.events({ signal: AbortSignal.timeout(10_000) }))
      if (event.action === action) return event;
    return undefined;
  }
});

describe("a layer on its way", () => {
  it("is read while it grows, by path on the same host and by bytes from elsewhere", async () => {
    const image = await addFakeImage(fake, "grow", [randomBytes(6_000_000)]);
    const digest = image.layers[0] ?? "";
    const blob = fake.blobs.get(digest) ?? Buffer.alloc(0);
    const { held, release } = holdLayer(image, 3_000_000);
    const following = [read(digest, services.hostId, true), read(digest, "elsewhere", true)] as const;
    const pulling = pull(`${fake.host}/x:grow`);
    await held;
    await expect.poll(() => partSize(digest)).toBe(3_000_000);
    release();
    await pulling;
    const [local, remote] = await Promise.all(following);
    expect(remote.data.equals(blob)).toBe(true);
    expect(local.path).toBe(partOf(digest));
    expect(local.available.at(-1)).toBe(blob.length);
    expect((await read(digest, "elsewhere", false)).data.equals(blob)).toBe(true);
    const whole = await read(digest, services.hostId, false);
    expect(digestOf(readFileSync(whole.path))).toBe(digest);
    await expect.poll(() => readdirSync(join(services.dir, "root/image-store/uploads"))).toEqual([]);
  });

  it("ends in DATA_LOSS for its followers when it is wrong", async () => {
    const image = await addFakeImage(fake, "wrong", [randomBytes(1_000_000)]);
    const digest = image.layers[0] ?? "";
    fake.blobs.set(digest, Buffer.alloc(fake.blobs.get(digest)?.length ?? 0));
    const following = Promise.allSettled([read(digest, services.hostId, true), read(digest, "elsewhere", true)]);
    await expect(pull(`${fake.host}/x:wrong`)).rejects.toMatchObject({
      message: `filesystem layer verification failed for digest ${digest}`,
      reason: "DATA_LOSS",
    });
    expect(await following).toMatchObject(Array(2).fill({ status: "rejected", reason: { reason: "DATA_LOSS" } }));
    await expect(services.images.getImage({ reference: `${fake.host}/x:wrong` })).rejects.toMatchObject({
      reason: "NO_SUCH_IMAGE",
    });
  });

  it.each(["registry-proxy", "image-store"] as const)("is gone on with after the %s was killed", async (name) => {
    const image = await addFakeImage(fake, name, [randomBytes(4_000_000)]);
    const digest = image.layers[0] ?? "";
    const blob = fake.blobs.get(digest) ?? Buffer.alloc(0);
    const { held, release, ranges } = holdLayer(image, 2_000_000);
    const pulling = pull(`${fake.host}/x:${name}`);
    const failed = pulling.then(
      () => "worked",
      (error: { reason: string }) => error.reason,
    );
    await held;
    await expect.poll(() => partSize(digest)).toBe(2_000_000);
    await services.kill(name);
    await services.start(name);
    release();
    if (name === "registry-proxy") {
      // Its callers learn that it is gone; whoever pulls again goes on where it was.
      expect(await failed).toBe("UNAVAILABLE");
      await pull(`${fake.host}/x:${name}`);
    } else {
      // The proxy holds on, and begins the upload anew with the store that comes back.
      expect(await failed).toBe("worked");
    }
    expect(ranges).toEqual([undefined, "bytes=2000000-"]);
    expect((await read(digest, "elsewhere", false)).data.equals(blob)).toBe(true);
    expect((await services.images.getImage({ reference: `${fake.host}/x:${name}` })).image?.id).toBe(image.id);
  });

  it("stops when nobody waits for it any more, and what came is kept", async () => {
    const image = await addFakeImage(fake, "stop", [randomBytes(2_000_000)]);
    const digest = image.layers[0] ?? "";
    const { held, ranges } = holdLayer(image, 1_000_000);
    const leaving = new AbortController();
    const pulling = pull(`${fake.host}/x:stop`, leaving.signal);
    pulling.catch(() => {});
    await held;
    await expect.poll(() => partSize(digest)).toBe(1_000_000);
    leaving.abort();
    await expect(pulling).rejects.toThrow();
    await expect.poll(() => services.images.statBlob({ digest })).toMatchObject({ complete: false, size: 1_000_000 });
    await pull(`${fake.host}/x:stop`);
    expect(ranges).toEqual([undefined, "bytes=1000000-"]);
  });
});
