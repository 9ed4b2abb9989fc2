/** With a real image store and a real NATS server: layers follow the images, through outages of either. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { openSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ImageStoreDefinition, type WriteBlobRequest } from "@berth/api/images";
import { acquireNatsServer, type NatsServer, startNatsServer } from "@berth/launcher/nats";
import { createLogger } from "@berth/log";
import { type Client, type Clients, createClients } from "@berth/rpc";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { createContext, type SnapshotterContext } from "../../src/context.ts";
import type { Layer } from "../../src/domain/snapshotter.ts";
import { makeImage } from "../images.ts";

let work: string;
let nats: NatsServer;
let store: ChildProcess;
let clients: Clients;
let images: Client<typeof ImageStoreDefinition>;
let context: SnapshotterContext;
const ending = new AbortController();

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "berth-layers-"));
  await mkdir(join(work, "run"));
  await startNats();
  startStore();
  clients = createClients(undefined, { hostId: "h", log: createLogger({ service: "test", level: "silent" }) });
  images = clients.at(ImageStoreDefinition, `unix:${work}/run/image-store.sock`);
  const config = readConfig({ env: environment("snapshotter"), argv: [] });
  context = await createContext(config, ending.signal);
  await context.bus.waitFor("image-store", { signal: AbortSignal.timeout(30_000) });
});
afterEach(async () => {
  await context.close();
  context.clients.close();
  await context.bus.drain();
  clients.close();
  await end(store, "SIGTERM");
  await nats.stop();
  await rm(work, { recursive: true });
});

async function startNats(): Promise<void> {
  const binary = await acquireNatsServer();
  nats = await startNatsServer({ binary, directory: join(work, "nats"), logFd: openSync("/dev/null", "w") });
}

const environment = (service: string): NodeJS.ProcessEnv => ({
  BERTH_ROOT: join(work, "root"),
  BERTH_RUN_DIR: join(work, "run"),
  BERTH_HOST_ID: "h",
  BERTH_NODE_ID: "n",
  BERTH_NATS_URL: nats.url,
  BERTH_NATS_USER: nats.user,
  BERTH_NATS_PASSWORD_FILE: nats.passwordFile,
  BERTH_LOG_LEVEL: service === "image-store" ? "warn" : "silent",
});

function startStore(): void {
  const main = resolve(import.meta.dirname, "../../../image-store/src/main.ts");
  const env = { ...process.env, ...environment("image-store") };
  store = spawn(process.execPath, [main], { env, stdio: ["ignore", "inherit", "inherit"] });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

/** Uploads an image with one file in each layer, as a pull would, and unpacks it before it has a name. */
async function pull(name: string, files: readonly string[]): Promise<readonly Layer[]> {
  const blobs = new Map<string, Buffer>();
  const { layers } = await makeImage(
    blobs,
    files.map((file) => ({ [file]: file })),
  );
  const { lease } = await images.createLease({ ttlSeconds: 600 });
  for (const blob of blobs.values()) await upload(blob, lease);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: { Labels: { name } },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  );
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: {
      mediaType: "application/vnd.oci.image.config.v1+json",
      digest: await upload(config, lease),
      size: config.length,
    },
    layers: layers.map(({ blob, size }) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest: blob,
      size,
    })),
  };
  for await (const _ of context.snapshotter.unpack(layers));
  const { descriptor } = await images.putManifest({ mediaType, content: Buffer.from(JSON.stringify(manifest)), lease });
  await images.tagImage({ source: descriptor?.digest ?? "", target: name });
  await images.deleteLease({ lease });
  return layers;
}

async function upload(bytes: Buffer, lease: string): Promise<string> {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const there = await images.statBlob({ digest }).then(
    () => true,
    () => false,
  );
  async function* requests(): AsyncGenerator<WriteBlobRequest> {
    yield { message: { $case: "start", value: { digest, size: bytes.length, lease, upload: "", hostId: "" } } };
    if (!there) yield { message: { $case: "data", value: bytes } };
    yield { message: { $case: "commit", value: {} } };
  }
  for await (const { message } of images.writeBlob(requests()))
    if (message?.$case === "committed") return message.value.digest;
  throw new Error("not committed");
}

const remove = (reference: string) => images.removeImage({ reference, force: true });
const directories = () => readdir(join(work, "root/snapshotter/snapshots"));
const left = (count: number) => expect.poll(async () => (await directories()).length, { timeout: 5_000 }).toBe(count);
const staying = async (count: number) => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  await context.snapshotter.settle();
  expect(await directories()).toHaveLength(count);
};

test("layers go with the last image that names them, and with the last container", async () => {
  await pull("one:latest", ["base", "one"]);
  const two = await pull("two:latest", ["base", "two", "top"]);
  await staying(4);
  await remove("one:latest");
  await left(3);
  await context.snapshotter.prepare("c", two.at(-1)?.chainId ?? "", { layers: two });
  await remove("two:latest");
  await staying(4);
  await context.snapshotter.remove("c");
  await left(0);
});

test("a name moved to another image frees no layer before that image is gone", async () => {
  await pull("one:latest", ["base", "one"]);
  await images.tagImage({ source: "one:latest", target: "other:latest" });
  await remove("one:latest");
  await staying(2);
  await remove("other:latest");
  await left(0);
});

test("a removal while NATS is away is heard of when it is back", async () => {
  await pull("one:latest", ["base", "one"]);
  await staying(2);
  nats.process.kill("SIGKILL");
  await nats.exited;
  await remove("one:latest");
  await staying(2);
  await startNats();
  await left(0);
});

test("an image store that is away is not one without images", async () => {
  const layers = await pull("one:latest", ["base", "one"]);
  await staying(2);
  await end(store, "SIGKILL");
  await expect.poll(() => context.bus.instances("image-store").length, { timeout: 6_000 }).toBe(0);
  context.snapshotter.imagesChanged();
  await context.snapshotter.prepare("c", layers.at(-1)?.chainId ?? "", { layers });
  await context.snapshotter.remove("c");
  await staying(2);
  startStore();
  await context.bus.waitFor("image-store", { signal: AbortSignal.timeout(30_000) });
  await staying(2);
  await remove("one:latest");
  await left(0);
});
