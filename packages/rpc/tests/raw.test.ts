import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AttachRequest, CreateRequest, LogsRequest } from "@berth/api/containers";
import { ImageStoreDefinition } from "@berth/api/images";
import type { Bus } from "@berth/bus";
import { BerthError } from "@berth/errors";
import { createLogger } from "@berth/log";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type Clients,
  createClients,
  createRpcServer,
  type Implementation,
  type RawClient,
  type RawMethod,
  type RpcServer,
  readText,
  withText,
} from "../src/index.ts";

type Store = Implementation<typeof ImageStoreDefinition>;
const log = createLogger({ service: "test", level: "silent" });

let dir: string;
let clients: Clients;
let servers: RpcServer[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-raw-"));
  servers = [];
});
afterEach(async () => {
  clients.close();
  await Promise.all(servers.map((server) => server.drain(0)));
  rmSync(dir, { recursive: true });
});

/** A store, and before it a server that passes everything on. */
async function chain(store: Store): Promise<void> {
  const address = (name: string) => `unix:${dir}/${name}.sock`;
  const instance = { hostId: "h", nodeId: "n", instanceId: "i", addresses: [address("store")], site: "s" };
  const bus = { instances: () => [instance], onInstances: () => () => {} } as unknown as Bus;
  clients = createClients(bus, { hostId: "h", log, patienceMs: 2_000 });
  const behind = createRpcServer({ config: { listen: [address("store")], metricsListen: undefined }, log });
  behind.add(ImageStoreDefinition, store);
  const before = createRpcServer({ config: { listen: [address("front")], metricsListen: undefined }, log });
  const raw = clients.raw(ImageStoreDefinition, "image-store");
  const passing = Object.entries<RawMethod>(raw).map(([key, call]) => [
    key,
    (request: Buffer, { signal }: { signal: AbortSignal }) => call(request, { signal }),
  ]);
  before.addRaw(ImageStoreDefinition, Object.fromEntries(passing) as RawClient<typeof ImageStoreDefinition>);
  servers.push(before, behind);
  for (const server of servers) await server.listen();
}

const front = () => clients.at(ImageStoreDefinition, `unix:${dir}/front.sock`);

describe("messages that are passed on", () => {
  it("arrive as they were, by calls and lanes, with what went wrong", async () => {
    await chain({
      getImage: ({ reference }) =>
        reference === "none"
          ? Promise.reject(new BerthError("NO_SUCH_IMAGE", "No such image: none", { id: "ä" }))
          : Promise.resolve({ image: { id: reference } }),
    });
    for (let i = 0; i < 10; i++) {
      const long = "x".repeat(i * 10_000);
      expect((await front().getImage({ reference: long })).image?.id).toBe(long);
    }
    await expect(front().getImage({ reference: "none" })).rejects.toMatchObject({
      reason: "NO_SUCH_IMAGE",
      message: "No such image: none",
      details: { id: "ä" },
    });
    await expect(front().statBlob({})).rejects.toMatchObject({ reason: "NOT_IMPLEMENTED" });
  });

  it("go no faster than they are read, at both ends", async () => {
    const chunk = Buffer.alloc(256 * 1024, 7);
    let sent = 0;
    await chain({
      async *readBlob() {
        for (; sent < 400; sent++) yield { message: { $case: "data" as const, value: chunk } };
      },
    });
    let got = 0;
    for await (const { message } of front().readBlob({})) {
      if (got === 0) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        // Two connections' windows and buffers, not all of it.
        expect(sent).toBeLessThan(100);
      }
      if (message?.$case === "data" && message.value.equals(chunk)) got++;
    }
    expect(got).toBe(400);
  });

  it("end with their caller", async () => {
    let ended = 0;
    await chain({
      async *readBlob(_request, { signal }) {
        signal.addEventListener("abort", () => ended++);
        yield { message: { $case: "available" as const, value: 1 } };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
    for await (const _ of front().readBlob({})) break;
    await expect.poll(() => ended).toBe(1);
  });
});

it("bytes that are no message are the caller's mistake, by calls, streams and lanes", async () => {
  await chain({ getImage: () => Promise.resolve({}), importImage: () => Promise.resolve({ imageId: "" }) });
  const raw = clients.raw(ImageStoreDefinition, "image-store");
  const broken = Buffer.from([0x0a, 0xff]);
  const refused = { reason: "INVALID_ARGUMENT", message: "the request cannot be decoded: premature EOF" };
  for (let i = 0; i < 6; i++) await expect(raw.getImage(broken)).rejects.toMatchObject(refused);
});

it("values that fit no message are the caller's mistake as well", async () => {
  await chain({ createLease: () => Promise.resolve({}), async *readBlob() {} });
  const refused = { reason: "INVALID_ARGUMENT", message: expect.stringMatching(/^the request cannot be encoded: /) };
  await expect(front().createLease({ ttlSeconds: Number.NaN })).rejects.toMatchObject(refused);
  await expect(Array.fromAsync(front().readBlob({ offset: Number.NaN }))).rejects.toMatchObject(refused);
});

describe("one text of an encoded message", () => {
  const spec = { config: { image: "busybox" } };
  const message = CreateRequest.encode(CreateRequest.fromPartial({ name: "n", spec, idempotencyKey: "k" })).finish();
  it("is found by its path", () => {
    expect(readText(message, [3])).toBe("k");
    expect(readText(message, [2, 1, 14])).toBe("busybox");
    expect(readText(message, [4])).toBe("");
    expect(readText(message, [2, 2, 1])).toBe("");
    const start = AttachRequest.fromPartial({ message: { $case: "start", value: { container: "ü" } } });
    expect(readText(AttachRequest.encode(start).finish(), [1, 1])).toBe("ü");
  });
  it("is the last of several, as for any decoder", () => {
    const twice = withText(withText(message, 1, "second"), 13, "host");
    expect(readText(twice, [1])).toBe("second");
    expect(LogsRequest.decode(withText(withText(Buffer.alloc(0), 13, "h"), 13, "")).hostId).toBe("");
  });
  it("is not there in what is no message", () => {
    expect(readText(Buffer.from([0x0a, 0x05, 0x61]), [1])).toBeUndefined();
    expect(readText(Buffer.from([0x0a, 0x01, 0xff]), [1, 1])).toBeUndefined();
    expect(readText(Buffer.from([0xff]), [1])).toBeUndefined();
  });
});
