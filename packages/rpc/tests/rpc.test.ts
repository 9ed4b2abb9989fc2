import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HealthDefinition, HealthCheckResponse_ServingStatus as HealthStatus } from "@berth/api/health";
import { ImageStoreDefinition } from "@berth/api/images";
import { ServerReflectionDefinition } from "@berth/api/reflection";
import { allReasons, BerthError } from "@berth/errors";
import { createLogger } from "@berth/log";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clients, createClients, createRpcServer, type Implementation, type RpcServer } from "../src/index.ts";

type Store = Implementation<typeof ImageStoreDefinition>;

const log = createLogger({ service: "test", level: "silent" });
let dir: string;
let address: string;
let server: RpcServer | undefined;
let clients: Clients;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-rpc-"));
  address = `unix:${dir}/s.sock`;
  clients = createClients(undefined, { hostId: "h", log, patienceMs: 2_000 });
});

afterEach(async () => {
  clients.close();
  await server?.drain(0);
  server = undefined;
  rmSync(dir, { recursive: true });
});

async function serve(implementation: Store, metricsListen?: string): Promise<RpcServer> {
  server = createRpcServer({ config: { listen: [address], metricsListen }, log });
  server.add(ImageStoreDefinition, implementation);
  await server.listen();
  return server;
}

const client = () => clients.at(ImageStoreDefinition, address);

describe("errors", () => {
  it.each(allReasons)("%s arrives as it was thrown", async (reason) => {
    await serve({
      getImage: () => Promise.reject(new BerthError(reason, 'Grüße, a "message"\nin two lines', { id: "ä1" })),
    });
    await expect(client().getImage({})).rejects.toMatchObject({
      reason,
      message: 'Grüße, a "message"\nin two lines',
      details: { id: "ä1" },
    });
  });

  it("arrive in the middle of a stream, after what came before", async () => {
    await serve({
      async *readBlob() {
        yield { message: { $case: "data" as const, value: Buffer.from("some") } };
        throw new BerthError("DATA_LOSS", "torn", { at: "4" });
      },
    });
    const got: string[] = [];
    const reading = (async () => {
      for await (const { message } of client().readBlob({})) {
        if (message?.$case === "data") got.push(message.value.toString());
      }
    })();
    await expect(reading).rejects.toMatchObject({ reason: "DATA_LOSS", details: { at: "4" } });
    expect(got).toEqual(["some"]);
  });

  it("nobody foresaw become INTERNAL; calls that are not there, NOT_IMPLEMENTED", async () => {
    await serve({ getImage: () => Promise.reject(new TypeError("x is undefined")) });
    await expect(client().getImage({})).rejects.toMatchObject({ reason: "INTERNAL", message: "x is undefined" });
    await expect(client().statBlob({})).rejects.toMatchObject({ reason: "NOT_IMPLEMENTED" });
  });
});

describe("cancelling", () => {
  it("reaches the server when the caller aborts, its time is over, or it stops reading", async () => {
    let ended = 0;
    const hang = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          ended++;
          reject(new Error("aborted"));
        });
      });
    await serve({
      getImage: (_, { signal }) => hang(signal),
      async *readBlob(_, { signal }) {
        yield { message: { $case: "available" as const, value: 1 } };
        await hang(signal);
      },
    });
    const calling = client().getImage({}, { signal: AbortSignal.timeout(50) });
    await expect(calling).rejects.toMatchObject({ reason: "CANCELLED" });
    await expect(client().getImage({}, { timeoutMs: 50 })).rejects.toMatchObject({ reason: "DEADLINE" });
    for await (const _ of client().readBlob({})) break;
    await expect.poll(() => ended).toBe(3);
    await expect(client().getImage({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ reason: "CANCELLED" });
  });
});

describe("bulk", () => {
  it("bytes arrive unharmed, both ways, and no faster than they are read", async () => {
    const chunk = Buffer.from(Array.from({ length: 256 * 1024 }, (_, i) => i % 251));
    let sent = 0;
    await serve({
      async *readBlob() {
        for (; sent < 200; sent++) yield { message: { $case: "data" as const, value: chunk } };
      },
      async importImage(requests) {
        let size = 0;
        for await (const { message } of requests) {
          if (message?.$case !== "data") continue;
          size += message.value.length;
          if (!message.value.equals(chunk)) throw new BerthError("DATA_LOSS", "harmed");
        }
        return { imageId: String(size) };
      },
    });
    const reader = client().readBlob({})[Symbol.asyncIterator]();
    await reader.next();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sent).toBeLessThan(50);
    let received = 1;
    for (let next = await reader.next(); !next.done; next = await reader.next()) {
      received++;
      if (next.value.message?.$case === "data") expect(next.value.message.value.equals(chunk)).toBe(true);
    }
    expect(received).toBe(200);
    async function* upload() {
      for (let i = 0; i < 40; i++) yield { message: { $case: "data" as const, value: chunk } };
    }
    expect(await client().importImage(upload())).toMatchObject({ imageId: String(40 * chunk.length) });
  });

  it("a message over 16 MiB is refused, and the connection goes on", async () => {
    await serve({
      getManifest: () => Promise.resolve({ content: Buffer.alloc(17 * 1024 * 1024) }),
      getImage: () => Promise.resolve({}),
    });
    await expect(client().getManifest({})).rejects.toMatchObject({ reason: "RESOURCE_EXHAUSTED" });
    await expect(client().getImage({})).resolves.toBeDefined();
  });
});

describe("the socket", () => {
  it("is for root alone", async () => {
    await serve({});
    expect(statSync(join(dir, "s.sock")).mode & 0o777).toBe(0o600);
  });

  it("is taken over from a dead process, never from a live one", async () => {
    writeFileSync(join(dir, "s.sock"), "");
    await serve({ getImage: () => Promise.resolve({}) });
    const second = createRpcServer({ config: { listen: [address], metricsListen: undefined }, log });
    await expect(second.listen()).rejects.toMatchObject({ reason: "IN_USE" });
    await expect(client().getImage({})).resolves.toBeDefined();
  });

  it("that leaves the host needs certificates", async () => {
    const open = createRpcServer({ config: { listen: ["tcp:0.0.0.0:0"], metricsListen: undefined }, log });
    await expect(open.listen()).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  it("may be TCP on loopback", async () => {
    const port = await freePort();
    address = `tcp:127.0.0.1:${port}`;
    await serve({ getImage: () => Promise.resolve({}) });
    await expect(client().getImage({})).resolves.toBeDefined();
  });
});

describe("draining", () => {
  it("finishes what is under way, reports NOT_SERVING, and ends what takes too long", async () => {
    const running = await serve({
      getImage: async () => {
        await new Promise((resolve) => setTimeout(resolve, 200));
        return {};
      },
      listImages: (_, { signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error()))),
    });
    const health = clients.at(HealthDefinition, address).watch({})[Symbol.asyncIterator]();
    expect((await health.next()).value).toEqual({ status: HealthStatus.SERVING });
    const short = client().getImage({});
    const long = client().listImages({});
    const outcome = long.catch((error: BerthError) => error.reason);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const drained = running.drain(600);
    expect((await health.next()).value).toEqual({ status: HealthStatus.NOT_SERVING });
    await expect(short).resolves.toBeDefined();
    await drained;
    expect(["CANCELLED", "UNAVAILABLE"]).toContain(await outcome);
  });

  it("a caller finds the service again after its restart, without an error in between", async () => {
    await (await serve({ getImage: () => Promise.resolve({}) })).drain(100);
    const call = client().getImage({});
    await new Promise((resolve) => setTimeout(resolve, 300));
    await serve({ getImage: () => Promise.resolve({}) });
    await expect(call).resolves.toBeDefined();
  });

  it("a service that stays away is UNAVAILABLE when the patience is over", async () => {
    const began = performance.now();
    await expect(client().getImage({})).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});

describe("what every service tells of itself", () => {
  it("health, by service", async () => {
    await serve({});
    const health = clients.at(HealthDefinition, address);
    expect(await health.check({})).toEqual({ status: HealthStatus.SERVING });
    expect(await health.check({ service: "berth.images.v1.ImageStore" })).toEqual({ status: HealthStatus.SERVING });
    await expect(health.check({ service: "nobody" })).rejects.toMatchObject({ reason: "NOT_FOUND" });
  });

  it("reflection: its services, and the files that describe them", async () => {
    await serve({});
    async function* ask() {
      yield { messageRequest: { $case: "listServices" as const, value: "" } };
      yield {
        messageRequest: { $case: "fileContainingSymbol" as const, value: "berth.images.v1.ImageStore.GetImage" },
      };
      yield { messageRequest: { $case: "fileContainingSymbol" as const, value: "no.such.Thing" } };
    }
    const answers = await Array.fromAsync(clients.at(ServerReflectionDefinition, address).serverReflectionInfo(ask()));
    const [list, file, none] = answers.map(({ messageResponse }) => messageResponse);
    expect(list?.$case === "listServicesResponse" && list.value.service.map(({ name }) => name)).toContain(
      "berth.images.v1.ImageStore",
    );
    const files = file?.$case === "fileDescriptorResponse" ? file.value.fileDescriptorProto : [];
    expect(files[0]?.toString("latin1")).toContain("berth/images/v1/images.proto");
    expect(files.length).toBeGreaterThan(1);
    expect(none?.$case).toBe("errorResponse");
  });

  it("metrics of every call", async () => {
    const path = join(dir, "m.sock");
    await serve({ getImage: () => Promise.resolve({}) }, `unix:${path}`);
    await client().getImage({});
    await client()
      .statBlob({})
      .catch(() => undefined);
    const text = await get(path);
    expect(text).toMatch(
      /berth_rpc_server_seconds_count\{service="berth\.images\.v1\.ImageStore",method="GetImage",code="0"\} 1/,
    );
    expect(text).toMatch(/method="StatBlob",code="12"\} 1/);
    expect(text).toContain("process_resident_memory_bytes");
  });
});

function get(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: "/metrics" }, (response) => {
      let text = "";
      response.on("data", (data: Buffer) => {
        text += data.toString();
      });
      response.on("end", () => resolve(text));
    })
      .on("error", reject)
      .end();
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
