import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HealthDefinition, HealthCheckResponse_ServingStatus as HealthStatus } from "@berth/api/health";
import { ImageStoreDefinition } from "@berth/api/images";
import { allReasons, BerthError } from "@berth/errors";
import { createLogger } from "@berth/log";
import { createServer } from "nice-grpc";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clients, createClients, createRpcServer, type Implementation, type RpcServer } from "../src/index.ts";

type Store = Implementation<typeof ImageStoreDefinition>;

const log = createLogger({ service: "test", level: "silent" });
let dir: string;
let address: string;
let server: RpcServer;
let clients: Clients;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-lane-"));
  address = `unix:${dir}/s.sock`;
  clients = createClients(undefined, { hostId: "h", log, patienceMs: 2_000 });
});

afterEach(async () => {
  clients.close();
  await server.drain(0);
  rmSync(dir, { recursive: true });
});

async function serve(implementation: Store): Promise<void> {
  server = createRpcServer({ config: { listen: [address], metricsListen: undefined }, log });
  server.add(ImageStoreDefinition, implementation);
  await server.listen();
}

const client = () => clients.at(ImageStoreDefinition, address);

/** The first calls of a connection go one by one; a lane stands after these. */
async function openLane(): Promise<void> {
  const health = clients.at(HealthDefinition, address);
  for (let i = 0; i < 4; i++) await health.check({});
  expect(await lanes()).toBe(1);
}

const lanes = async () => {
  const text = await server.metrics.registry.metrics();
  return Number(/^berth_rpc_server_lanes (\d+)$/m.exec(text)?.[1]);
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("a call through a lane", () => {
  it("is answered and counted like any other", async () => {
    await serve({ getImage: ({ reference }) => Promise.resolve({ image: { id: `id of ${reference}` } }) });
    await openLane();
    expect(await client().getImage({ reference: "ä" })).toMatchObject({ image: { id: "id of ä" } });
    expect(await server.metrics.registry.metrics()).toMatch(/method="GetImage",code="0"\} 1/);
    expect(await lanes()).toBe(1);
  });

  it.each(allReasons)("fails with %s as it was thrown", async (reason) => {
    await serve({ getImage: () => Promise.reject(new BerthError(reason, "Grüße\nin two lines", { id: "ä1" })) });
    await openLane();
    await expect(client().getImage({})).rejects.toMatchObject({
      reason,
      message: "Grüße\nin two lines",
      details: { id: "ä1" },
    });
  });

  it("fails where nobody foresaw it, or nothing is there to call", async () => {
    await serve({ getImage: () => Promise.reject(new TypeError("x is undefined")) });
    await openLane();
    await expect(client().getImage({})).rejects.toMatchObject({ reason: "INTERNAL", message: "x is undefined" });
    await expect(client().statBlob({})).rejects.toMatchObject({ reason: "NOT_IMPLEMENTED" });
  });

  it("overtakes one that takes long, and thousands at a time are each answered", async () => {
    let free: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      free = resolve;
    });
    await serve({
      getImage: async ({ reference }) => {
        if (reference === "slow") await held;
        return { image: { id: reference } };
      },
    });
    await openLane();
    const slow = client().getImage({ reference: "slow" });
    const names = Array.from({ length: 3_000 }, (_, i) => `image-${i}`);
    const answers = await Promise.all(names.map((reference) => client().getImage({ reference })));
    expect(answers.map(({ image }) => image?.id)).toEqual(names);
    free();
    expect((await slow).image?.id).toBe("slow");
  });

  it("that is given up reaches the handler, and the lane goes on", async () => {
    let ended = 0;
    await serve({
      getImage: (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            ended++;
            reject(new Error("aborted"));
          });
        }),
      listImages: () => Promise.resolve({}),
    });
    await openLane();
    const signal = AbortSignal.timeout(50);
    await expect(client().getImage({}, { signal })).rejects.toMatchObject({ reason: "CANCELLED" });
    await expect(client().getImage({}, { timeoutMs: 50 })).rejects.toMatchObject({ reason: "DEADLINE" });
    await expect(client().getImage({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ reason: "CANCELLED" });
    await expect.poll(() => ended).toBe(2);
    await expect(client().listImages({})).resolves.toBeDefined();
    expect(await lanes()).toBe(1);
  });

  it("may be large both ways, up to the same limit", async () => {
    await serve({
      getManifest: ({ digest }) => Promise.resolve({ content: Buffer.alloc(digest === "whole" ? 15e6 : 17e6, 7) }),
      getImage: ({ reference }) => Promise.resolve({ image: { id: String(reference.length) } }),
    });
    await openLane();
    expect((await client().getManifest({ digest: "whole" })).content.equals(Buffer.alloc(15e6, 7))).toBe(true);
    await expect(client().getManifest({})).rejects.toMatchObject({ reason: "RESOURCE_EXHAUSTED" });
    const long = await client().getImage({ reference: "x".repeat(5_000_000) });
    expect(long.image?.id).toBe("5000000");
    expect(await lanes()).toBe(1);
  });
});

describe("a lane", () => {
  it("lets its calls finish when the server stops, and the next ones find the new server", async () => {
    const slowly: Store = {
      getImage: async () => {
        await pause(200);
        return { image: { id: "there" } };
      },
      listImages: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cut")))),
    };
    await serve(slowly);
    await openLane();
    const short = client().getImage({});
    const long = client()
      .listImages({})
      .catch((error: BerthError) => error.reason);
    await pause(50);
    const drained = server.drain(600);
    const late = client().getImage({});
    expect((await short).image?.id).toBe("there");
    await drained;
    expect(await long).toBe("UNAVAILABLE");
    await serve(slowly);
    expect((await late).image?.id).toBe("there");
    await openLane();
  });

  it("that breaks fails the calls in it as UNAVAILABLE", async () => {
    await serve({ listImages: () => new Promise(() => {}) });
    await openLane();
    const hanging = client().listImages({});
    const failure = expect(hanging).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    await pause(50);
    await server.drain(0);
    await failure;
  });

  it("ends with its caller, whose calls under way are broken off with it or answered", async () => {
    await serve({
      getImage: async () => {
        await pause(100);
        return { image: { id: "answered" } };
      },
    });
    await openLane();
    const last = client().getImage({});
    await pause(20);
    clients.close();
    expect((await last).image?.id).toBe("answered");
    await expect.poll(lanes).toBe(0);
  });

  it("is done without where the server has none", async () => {
    await serve({});
    await server.drain(0);
    const plain = createServer();
    const check = () => Promise.resolve({ status: HealthStatus.SERVING });
    plain.add(HealthDefinition, { check, watch: () => Promise.reject(new Error()) } as never);
    await plain.listen(address);
    try {
      const health = clients.at(HealthDefinition, address);
      await Promise.all(Array.from({ length: 10 }, () => health.check({})));
      for (let i = 0; i < 5; i++) expect(await health.check({})).toEqual({ status: HealthStatus.SERVING });
    } finally {
      await plain.shutdown();
    }
  });
});
