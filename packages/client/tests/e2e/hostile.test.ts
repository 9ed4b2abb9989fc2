// What comes from outside: bytes that are no message, too many of them, callers that leave, and calls that are not for them.
import { get } from "node:http";
import { SupervisorDefinition } from "@berth/api/containers";
import { EventsDefinition } from "@berth/api/events";
import { ImageStoreDefinition } from "@berth/api/images";
import { NodesDefinition } from "@berth/api/nodes";
import { ServerReflectionDefinition, type ServerReflectionRequest } from "@berth/api/reflection";
import { RegistryProxyDefinition } from "@berth/api/registry";
import { VolumesDefinition } from "@berth/api/volumes";
import { GrpcCode } from "@berth/errors";
import { type Clients, createClients } from "@berth/rpc/client";
import { type Bed, eventually, openBed } from "@berth/testkit";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tarOf } from "./tar.ts";

const definitions = [
  SupervisorDefinition,
  VolumesDefinition,
  ImageStoreDefinition,
  RegistryProxyDefinition,
  EventsDefinition,
  NodesDefinition,
];
/** What a gateway does not serve. */
const refused = [
  "Supervisor.OpenAttach",
  "Supervisor.OpenExec",
  "Supervisor.ReceiveArchive",
  "Supervisor.NodeInfo",
  "ImageStore.WriteBlob",
  "ImageStore.CreateLease",
  "ImageStore.DeleteLease",
  "ImageStore.PutManifest",
  "ImageStore.NotePrune",
  "ImageStore.CommitImage",
  "ImageStore.CollectGarbage",
];

let bed: Bed;
let image: string;
let clients: Clients;
/** As anybody's gRPC library has it. */
let outside: Client;
const gateway = () => `unix:${bed.engine.runDir}/gateway.sock`;

beforeAll(async () => {
  bed = await openBed();
  image = await bed.pull("busybox");
  clients = createClients(undefined, { hostId: "" });
  outside = new Client(gateway(), credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
}, 300_000);

afterAll(async () => {
  clients?.close();
  outside?.close();
  await bed?.close();
}, 120_000);

/** What a service tells of itself. */
function metrics(service: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socketPath = `${bed.engine.runDir}/${service}.metrics.sock`;
    get({ socketPath, path: "/metrics" }, (response) => {
      response.toArray().then((chunks) => resolve(Buffer.concat(chunks as Buffer[]).toString("utf8")), reject);
    }).once("error", reject);
  });
}

/** One request of these bytes; the status it comes to. */
function send(path: string, bytes: Buffer): Promise<{ code: number; details: string; reason: unknown }> {
  const asIs = (message: Buffer) => message;
  return new Promise((resolve) => {
    // Every method, streaming or not, looks the same up to its answers.
    const call = outside.makeBidiStreamRequest(path, asIs, asIs);
    call.on("data", () => {});
    call.on("error", () => {});
    call.on("status", ({ code, details, metadata }: ServiceError) =>
      resolve({ code, details, reason: metadata.get("berth-reason")[0] }),
    );
    call.write(bytes);
    call.end();
  });
}

const methods = definitions.flatMap(({ fullName, methods: all }) =>
  Object.values(all as Record<string, { name: string }>).map(({ name }) => [
    `${fullName.split(".").at(-1)}.${name}`,
    `/${fullName}/${name}`,
  ]),
);

describe.each(methods as [string, string][])("%s", (name, path) => {
  it("takes no bytes that are no message", async () => {
    const broken = Buffer.from([0x0a, 0xff, 0xff]);
    const { code, reason, details } = await send(path, broken);
    if (refused.includes(name)) {
      expect({ code, reason }).toEqual({ code: GrpcCode.UNIMPLEMENTED, reason: "NOT_IMPLEMENTED" });
      expect(details).toMatch(new RegExp(`^${name} is not served by a gateway: `));
    } else {
      expect({ code, reason }).toEqual({ code: GrpcCode.INVALID_ARGUMENT, reason: "INVALID_ARGUMENT" });
      expect(details).toMatch(/^the request cannot be decoded: /);
    }
  });
});

const some = ["Supervisor.Inspect", "Supervisor.WriteArchive", "ImageStore.LoadImages", "Events.Read", "Volumes.List"];

it.each((methods as [string, string][]).filter(([name]) => some.includes(name)))(
  "%s takes no message of more than 16 MiB",
  async (_name, path) => {
    const { code } = await send(path, Buffer.alloc(16 * 1024 * 1024 + 1));
    expect(code).toBe(GrpcCode.RESOURCE_EXHAUSTED);
  },
);

it("serves on after all of that", async () => {
  const { nodes } = await clients.at(NodesDefinition, gateway()).list({});
  expect(nodes).toMatchObject([
    { state: 1, services: expect.arrayContaining([expect.objectContaining({ role: "supervisor" })]) },
  ]);
  await expect(clients.at(NodesDefinition, gateway()).inspect({ node: "nobody" })).rejects.toMatchObject({
    reason: "NOT_FOUND",
  });
  const { node } = await clients.at(NodesDefinition, gateway()).inspect({ node: nodes[0]?.id.slice(0, 8) ?? "" });
  expect(node?.capacity?.cpus).toBeGreaterThan(0);
});

it("tells by reflection what it serves, with what each message is", async () => {
  const ask = async (question: ServerReflectionRequest["messageRequest"]) => {
    async function* requests() {
      yield { host: "", messageRequest: question };
    }
    const [answer] = await Array.fromAsync(
      clients.at(ServerReflectionDefinition, gateway()).serverReflectionInfo(requests()),
    );
    return answer?.messageResponse;
  };
  const listed = await ask({ $case: "listServices", value: "" });
  const names = listed?.$case === "listServicesResponse" ? listed.value.service.map(({ name }) => name) : [];
  expect(names).toEqual(expect.arrayContaining(definitions.map(({ fullName }) => fullName)));
  for (const symbol of [...definitions.map(({ fullName }) => fullName), "berth.events.v1.ReadResponse"]) {
    const found = await ask({ $case: "fileContainingSymbol", value: symbol });
    expect(found?.$case === "fileDescriptorResponse" && found.value.fileDescriptorProto.length).toBeGreaterThan(0);
  }
});

describe("a caller that leaves", () => {
  /** gRPC calls that a service has under way, by method. */
  const open = async (service: string, method: string): Promise<number> => {
    const text = await metrics(service);
    return Number(new RegExp(`^berth_rpc_server_open\\{[^}]*method="${method}"\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
  };
  const settled = (method: string) =>
    eventually(`no ${method} is under way`, async () => {
      const counts = [await open("gateway", method), await open("supervisor", method)];
      return counts.every((count) => count === 0) || undefined;
    });

  it("takes its streams with it, from gateway and node", async () => {
    const id = (await bed.docker.must(["run", "-d", image, "sleep", "1000"])).trim();
    const supervisor = clients.at(SupervisorDefinition, gateway());
    const leaving = new AbortController();
    const { signal } = leaving;
    const streams = [
      Array.fromAsync(supervisor.logs({ container: id, stdout: true, follow: true }, { signal })),
      Array.fromAsync(supervisor.wait({ container: id }, { signal })),
      Array.fromAsync(supervisor.stats({ container: id, follow: true }, { signal })),
      Array.fromAsync(clients.at(EventsDefinition, gateway()).read({ follow: true }, { signal })),
    ];
    for (const method of ["Logs", "Wait", "Stats"])
      await eventually(`${method} is under way`, async () => (await open("supervisor", method)) === 1 || undefined);
    await eventually("events are read", async () => (await open("gateway", "Read")) === 1 || undefined);
    leaving.abort();
    const ends = await Promise.allSettled(streams);
    for (const end of ends) expect(end).toMatchObject({ status: "rejected", reason: { reason: "CANCELLED" } });
    for (const method of ["Logs", "Wait", "Stats", "Read"]) await settled(method);
    await bed.docker.must(["rm", "-f", id]);
  });

  it("in the middle of an upload leaves nothing of it", async () => {
    const id = (await bed.docker.must(["create", image, "true"])).trim();
    const whole = tarOf("file", Buffer.alloc(4_000_000, 66));
    const leaving = new AbortController();
    async function* requests() {
      yield { message: { $case: "start" as const, value: { container: id, path: "/" } } };
      yield { message: { $case: "data" as const, value: whole.subarray(0, 1_000_000) } };
      leaving.abort();
      await new Promise(() => {});
    }
    const upload = clients.at(SupervisorDefinition, gateway()).writeArchive(requests(), { signal: leaving.signal });
    await expect(upload).rejects.toMatchObject({ reason: "CANCELLED" });
    await settled("WriteArchive");
    // It may be changed and removed: nothing holds it.
    await bed.docker.must(["rm", id]);
  });

  it("who does not read stops the writer, not the gateway", async () => {
    const id = (
      await bed.docker.must(["create", image, "sh", "-c", "dd if=/dev/zero bs=1M count=200 2>/dev/null"])
    ).trim();
    const supervisor = clients.at(SupervisorDefinition, gateway());
    async function* requests() {
      yield { message: { $case: "start" as const, value: { container: id, stdout: true, stderr: true } } };
      await new Promise(() => {});
    }
    const answers = supervisor.attach(requests())[Symbol.asyncIterator]();
    await answers.next();
    const before = await resident("gateway");
    await supervisor.start({ container: id });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await resident("gateway")) - before).toBeLessThan(100 * 1024 * 1024);
    expect((await supervisor.inspect({ container: id })).container?.state?.status).toBe(2);
    let bytes = 0;
    for await (const { message } of { [Symbol.asyncIterator]: () => answers })
      if (message?.$case === "data") bytes += message.value.length;
    // 200 MiB in frames of at most 64 KiB or more, each with a head of eight bytes.
    expect(bytes).toBeGreaterThan(200 * 1024 * 1024);
    await bed.docker.must(["rm", "-f", id]);
  }, 60_000);

  const resident = async (service: string): Promise<number> => {
    const text = await metrics(service);
    return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]);
  };
});
