// Each role of each node may say what is its own, on a real server.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { inboxPrefix, NatsAuthority } from "@berth/identity";
import { jetstreamManager } from "@nats-io/jetstream";
import { type ConnectionOptions, connect, credsAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acquireNatsServer, prepareSharedNats } from "../../src/index.ts";
import { hourMs, SecureNats } from "./support.ts";

let server: SecureNats;
/** How every connection is made that shows a certificate. */
let shown: ConnectionOptions;

/** Certificates name roles, not hosts. */
const anyName = { checkServerIdentity: () => undefined } as object;
const bytes = new TextEncoder();

beforeAll(async () => {
  server = await SecureNats.start();
  const own = await server.certificate("supervisor");
  const tls = { caFile: server.caFile, certFile: own, keyFile: own, ...anyName };
  shown = { servers: server.address, tls, reconnect: false, noAsyncTraces: true };
});

afterAll(() => server.close());

interface User {
  publicKey: string;
  options: ConnectionOptions;
}

async function user(role: string, nodeId: string, expiresAt?: number, from?: NatsAuthority): Promise<User> {
  const { publicKey, credentials } = await server.user(role, nodeId, expiresAt, from);
  const authenticator = credsAuthenticator(bytes.encode(credentials));
  return { publicKey, options: { ...shown, authenticator, inboxPrefix: inboxPrefix(nodeId, role) } };
}

const as = async (role: string, nodeId: string): Promise<NatsConnection> => connect((await user(role, nodeId)).options);

/** "OK", or what the server says against it: it says so before it answers the ping that comes after. */
async function publishing(nats: NatsConnection, subject: string): Promise<string> {
  let complaint = "OK";
  const listening = (async () => {
    for await (const status of nats.status()) if (status.type === "error") complaint = status.error.message;
  })();
  nats.publish(subject, "{}");
  await nats.flush();
  await nats.close();
  await listening;
  return complaint;
}

describe("a user of NATS", () => {
  it.each([
    ["supervisor", "berth.events.container.start.n1", true],
    ["supervisor", "berth.events.container.start.n2", false],
    ["supervisor", "berth.presence.supervisor.n1.i", true],
    ["supervisor", "berth.presence.supervisor.n2.i", false],
    ["supervisor", "berth.presence.gateway.n1.i", false],
    ["supervisor", "$KV.BERTH_REVOKED.n2", false],
    ["supervisor", "$JS.API.STREAM.DELETE.BERTH_EVENTS", false],
    ["supervisor", "$JS.API.STREAM.PURGE.BERTH_EVENTS", false],
    ["supervisor", "$JS.API.STREAM.UPDATE.BERTH_EVENTS", false],
    ["supervisor", "$SYS.REQ.CLAIMS.UPDATE", false],
    ["snapshotter", "berth.events.container.start.n1", false],
    ["snapshotter", "$KV.BERTH_NAMES.web", false],
    ["image-store", "berth.events.image.pull.n1", true],
    ["image-store", "berth.events.container.start.n1", false],
    ["gateway", "berth.events.container.start.n1", false],
    ["authority", "$KV.BERTH_REVOKED.n2", true],
  ])("who is the %s of n1 and says %s: %s", async (role, subject, allowed) => {
    const said = await publishing(await as(role, "n1"), subject);
    if (allowed) expect(said).toBe("OK");
    else expect(said).toContain("Permissions Violation for Publish");
  });

  it("hears no answers but its own", async () => {
    const nats = await as("gateway", "n1");
    const subscription = nats.subscribe("_INBOX.n2.supervisor.>");
    await expect(subscription[Symbol.asyncIterator]().next()).rejects.toThrow("Permissions Violation");
    await nats.close();
  });

  it("has JetStream, but can't take a stream away", async () => {
    const nats = await as("gateway", "n1");
    const manager = await jetstreamManager(nats, { timeout: 1_000 });
    await manager.streams.add({ name: "BERTH_TEST", subjects: ["test.>"] });
    await expect(manager.streams.delete("BERTH_TEST")).rejects.toThrow();
    expect((await manager.streams.info("BERTH_TEST")).config.name).toBe("BERTH_TEST");
    await nats.close();
  });

  it("of somebody else's authority, without a certificate, or whose time is over, is not let in", async () => {
    const other = NatsAuthority.open(join(server.dir, "other"), "other");
    const stranger = await user("gateway", "n1", Date.now() + hourMs, other);
    await expect(connect(stranger.options)).rejects.toThrow(/authorization/i);
    const late = await user("gateway", "n1", Date.now() - 10_000);
    await expect(connect(late.options)).rejects.toThrow(/authorization|expired/i);
    const { options } = await user("gateway", "n1");
    await expect(connect({ ...options, tls: { caFile: server.caFile, ...anyName } })).rejects.toThrow();
  });

  it("that is revoked is put out, and others stay", async () => {
    const { publicKey, options } = await user("gateway", "n3");
    const nats = await connect(options);
    const staying = await as("gateway", "n4");
    const system = credsAuthenticator(bytes.encode(await server.trust.systemCredentials(Date.now() + hourMs)));
    const telling = await connect({ ...shown, authenticator: system });
    const account = await server.trust.accountJwt({ [publicKey]: Math.floor(Date.now() / 1000) });
    expect((await telling.request("$SYS.REQ.CLAIMS.UPDATE", account)).json()).not.toHaveProperty("error");
    expect(String(await nats.closed())).toMatch(/revoked|authori[sz]ation/i);
    await staying.flush();
    await Promise.all([staying.close(), telling.close()]);
    await expect(connect(options)).rejects.toThrow(/authorization/i);
  });
});

describe("a server's configuration", () => {
  // Numbers, sizes and words that NATS' syntax knows, where they stand without quotes.
  it.each(["1e5", "12e34ab", "0123", "5k", "7mb", "true", "27eab4ac5198416b"])(
    "is read with the names %s",
    async (name) => {
      const secretFile = join(server.dir, "secret");
      writeFileSync(secretFile, name);
      const places = { routePort: 7602, routes: ["10.0.0.2:7602"], clients: ["10.0.0.2:7601"] };
      const member = { cluster: name, serverName: name, since: 2, secretFile, settled: true, ...places };
      const { configFile } = prepareSharedNats(join(server.dir, `named-${name}`), { ...server.shared, member });
      const { status, stderr } = spawnSync(await acquireNatsServer(), ["-t", "-c", configFile], { encoding: "utf8" });
      expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining("is valid") });
    },
  );
});
