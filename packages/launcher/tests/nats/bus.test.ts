// The services' bus over a NATS that knows who is who: an engine's own, or somebody else's with TLS and credentials.
import { openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bus, connectBus, type Instance, type NatsTls } from "@berth/bus";
import { identityIn, inboxPrefix, parseIdentity } from "@berth/identity";
import { createLogger } from "@berth/log";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { acquireNatsServer, startNatsServer } from "../../src/index.ts";
import { SecureNats } from "./support.ts";

const log = createLogger({ service: "test", level: "silent" });
let server: SecureNats;
const buses: Bus[] = [];

beforeAll(async () => {
  server = await SecureNats.start();
});

afterAll(async () => {
  for (const bus of buses) await bus.drain();
  await server.close();
});

const isNats = (names: string | undefined) => (identityIn(names)?.role === "nats" ? undefined : new Error("no NATS"));

async function open(role: string, nodeId: string, tls: Partial<NatsTls> = {}, at = server): Promise<Bus> {
  const { credentials } = await at.user(role, nodeId);
  const credsFile = join(at.dir, `${role}-${nodeId}.creds`);
  writeFileSync(credsFile, credentials);
  const secured = { caFile: at.caFile, identityFile: await at.certificate(role), check: isNats, ...tls };
  const url = `tls://${at.address}`;
  // Connecting is tried for ever: what is not let in is told by this.
  const signal = AbortSignal.timeout(3_000);
  const bus = await connectBus({
    ...{ url, credsFile, tls: secured, name: "test", log, signal },
    inboxPrefix: inboxPrefix(nodeId, role),
  });
  buses.push(bus);
  return bus;
}

const instance = (role: Instance["role"], nodeId: string): Instance => ({
  ...{ role, instanceId: `${role}-${nodeId}`, nodeId, nodeName: nodeId, hostId: nodeId, site: "default" },
  ...{ addresses: ["tcp:10.0.0.1:1"], version: "0", startedAt: new Date().toISOString() },
});

describe("a bus", () => {
  it("hears who is there, claims names, and reads events", async () => {
    const [gateway, supervisor] = [await open("gateway", "n1"), await open("supervisor", "n2")];
    supervisor.announce(instance("supervisor", "n2"));
    expect((await gateway.waitFor("supervisor", { signal: AbortSignal.timeout(3_000) })).nodeId).toBe("n2");
    await supervisor.names.claim("web", { containerId: "c1", nodeId: "n2" });
    expect(await gateway.names.lookup("web")).toEqual({ containerId: "c1", nodeId: "n2" });
    await supervisor.names.release("web", "c1");
    expect(await gateway.names.lookup("web")).toBeUndefined();
  });

  it("can't announce another node's services", async () => {
    const [gateway, supervisor] = [await open("gateway", "n3"), await open("supervisor", "n4")];
    supervisor.announce(instance("supervisor", "n5"));
    supervisor.announce(instance("image-store", "n4"));
    supervisor.announce(instance("supervisor", "n4"));
    await expect.poll(() => gateway.instances("supervisor").map(({ nodeId }) => nodeId)).toContain("n4");
    expect(gateway.instances("supervisor").map(({ nodeId }) => nodeId)).not.toContain("n5");
    expect(gateway.instances("image-store")).toEqual([]);
  });

  it("learns who was shut out, also what it was before it asked, and tells it from a new certificate", async () => {
    const [authority, store] = [await open("authority", "n1"), await open("image-store", "n1")];
    await authority.revocations.publish("n7", 1_000_000);
    await expect.poll(() => store.revocations.has("n7", 999_999)).toBe(true);
    expect(store.revocations.has("n7", 1_000_001)).toBe(false);
    const told: [string, number][] = [];
    store.revocations.onRevoked((nodeId, until) => void told.push([nodeId, until]));
    await authority.revocations.publish("n8", 2_000_000);
    await expect.poll(() => told).toEqual([["n8", 2_000_000]]);
    await expect(store.revocations.publish("n9", 1)).rejects.toThrow();
    expect(store.revocations.has("n9", 0)).toBe(false);
  });

  it("hands the servers a new word about its users", async () => {
    const authority = await open("authority", "n1");
    const { publicKey, credentials } = await server.user("gateway", "n6");
    const jwt = await server.trust.accountJwt({ [publicKey]: Math.floor(Date.now() / 1000) });
    await authority.updateAccount(jwt, await server.trust.systemCredentials(Date.now() + 60_000));
    await expect(authority.updateAccount(jwt, credentials)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
  });

  it("says nothing to a server of another authority, of another role, or without TLS", async () => {
    const other = await SecureNats.start();
    await expect(open("gateway", "n1", { caFile: other.caFile })).rejects.toMatchObject({ name: "TimeoutError" });
    await other.close();
    const posing = await SecureNats.start("supervisor");
    await expect(open("gateway", "n1", {}, posing)).rejects.toMatchObject({ name: "TimeoutError" });
    await posing.close();
    const logFd = openSync("/dev/null", "w");
    const plain = await startNatsServer({
      binary: await acquireNatsServer(),
      directory: join(server.dir, "plain"),
      logFd,
    });
    const { url, user, passwordFile } = plain;
    const asked = () => ({ url, user, passwordFile, name: "test", log, signal: AbortSignal.timeout(3_000) });
    try {
      const secured = connectBus({ ...asked(), tls: { caFile: server.caFile } });
      await expect(secured).rejects.toMatchObject({ name: "TimeoutError" });
      await (await connectBus(asked())).drain();
    } finally {
      await plain.stop();
    }
  });
});

describe("an identity", () => {
  it.each([
    ["URI:spiffe://c1/node/n1/gateway", { cluster: "c1", nodeId: "n1", role: "gateway" }],
    ["DNS:a, URI:spiffe://c1/node/n1/gateway", { cluster: "c1", nodeId: "n1", role: "gateway" }],
    ["URI:spiffe://c1/node/n1/gateway, URI:spiffe://c1/node/n2/gateway", undefined],
    ['DNS:"a, URI:spiffe://c1/node/n1/gateway"', undefined],
    ["URI:spiffe://c1/node/n1", undefined],
    ["URI:spiffe://c1/node/../gateway", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("in %j is %j", (names, identity) => {
    expect(identityIn(names)).toEqual(identity);
  });

  it("is a URI of the form that we write, to the letter", () => {
    expect(parseIdentity("spiffe://c1/node/n1/gateway/")).toBeUndefined();
    expect(parseIdentity("https://c1/node/n1/gateway")).toBeUndefined();
  });
});
