// The authority as hosts meet it: its listener, its records on disk, real keys and certificates.
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  askToJoin,
  askToRenew,
  CertificateAuthority,
  createNatsKey,
  createRequest,
  decodeToken,
  fingerprintOf,
  type JoinRequest,
  launcherRole,
  type Membership as MembershipAnswer,
  NatsAuthority,
  type NodeSettings,
} from "@berth/identity";
import { createLogger } from "@berth/log";
import { openStore, type Store } from "@berth/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Membership } from "../src/domain/membership.ts";
import { Tokens } from "../src/domain/tokens.ts";
import { JoinListener } from "../src/http/listener.ts";
import { levelRecords } from "../src/store/records.ts";

const log = createLogger({ service: "test", level: "silent" });
const hourMs = 3_600_000;
let dir: string;
let port: number;
let certificates: CertificateAuthority;
let nats: NatsAuthority;
let store: Store;
let tokens: Tokens;
let membership: Membership;
let listener: JoinListener;
const revoked: [string, number][] = [];
let natsRevoked: Readonly<Record<string, number>> = {};
const heard = new Set<string>();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "berth-authority-"));
  port = await freePort();
  certificates = await CertificateAuthority.open(join(dir, "authority"));
  nats = NatsAuthority.open(join(dir, "authority"), certificates.cluster);
  const { keyPem, requestPem } = await createRequest("first");
  const identity = { cluster: certificates.cluster, nodeId: "first-id", role: "authority" };
  const { certificatePem } = await certificates.issue(requestPem, identity, "first", hourMs);
  writeFileSync(join(dir, "identity.pem"), keyPem + certificatePem + certificates.certificatePem);
  await open();
});

afterEach(async () => {
  await close();
  revoked.length = 0;
  natsRevoked = {};
  heard.clear();
  rmSync(dir, { recursive: true });
});

async function open(): Promise<void> {
  store = await openStore(join(dir, "records"));
  const records = levelRecords(store);
  const known = await records.load();
  const fingerprint = fingerprintOf(new X509Certificate(certificates.certificatePem).raw);
  tokens = new Tokens(records, known.tokens, { addresses: [`127.0.0.1:${port}`], fingerprint });
  const settings: NodeSettings = {
    ...{ kind: "open", cluster: certificates.cluster, nodeId: "first-id", nodeName: "first", advertise: "10.0.0.1" },
    ...{ basePort: 7600, authorities: [`127.0.0.1:${port}`], nats: ["tls://10.0.0.1:7601"], natsAccount: nats.account },
    services: ["authority", "image-store"],
  };
  const announcer = {
    revoked: (nodeId: string, at: number) => void revoked.push([nodeId, at]),
    natsRevocations: (list: Readonly<Record<string, number>>) => {
      natsRevoked = list;
    },
  };
  const parts = { records, tokens, certificates, nats, settings, ttlMs: hourMs, announcer };
  membership = new Membership(
    { ...parts, isHeard: (nodeId) => heard.has(nodeId), plan: () => undefined },
    known.members,
  );
  await membership.adoptSelf("default");
  const files = { identityFile: join(dir, "identity.pem"), caFile: join(dir, "authority/ca.pem") };
  listener = await JoinListener.open({ membership, host: "127.0.0.1", port, ...files, log });
}

async function close(): Promise<void> {
  await listener.close();
  await store.close();
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port: found } = probe.address() as { port: number };
      probe.close(() => resolve(found));
    });
  });
}

interface Asking {
  body: JoinRequest;
  keys: Record<string, string>;
}

const token = async (wish: { roles?: string[]; ttlMs?: number; uses?: number } = {}) =>
  (await tokens.create({ roles: [], ttlMs: 0, uses: 0, ...wish })).text;

/** What a host asks with, as the launcher's helper does. */
async function asking(text: string, id: string, services = ["supervisor"], name = id): Promise<Asking> {
  const keys: Record<string, string> = {};
  const roles = await Promise.all(
    [...services, launcherRole].map(async (role) => {
      const { keyPem, requestPem } = await createRequest(name);
      keys[role] = keyPem;
      return { role, request: requestPem, natsKey: role === launcherRole ? "" : createNatsKey().publicKey };
    }),
  );
  const { id: tokenId, secret } = decodeToken(text);
  const node = { id, name, site: "default", advertise: "10.0.0.2", basePort: 7600 };
  return { body: { clock: Date.now(), node, roles, token: { id: tokenId, secret } }, keys };
}

function join_(text: string, { body }: Asking): Promise<MembershipAnswer> {
  const { addresses, fingerprint } = decodeToken(text);
  return askToJoin(addresses, fingerprint, body);
}

/** Renews with the certificate that a join gave for `role`. */
function renew(answer: MembershipAnswer, { body, keys }: Asking, role = launcherRole): Promise<MembershipAnswer> {
  const { clock, node, roles } = body;
  const identity = (keys[role] ?? "") + (answer.credentials[role]?.certificate ?? "");
  const trust = { ca: answer.ca, identity, cluster: answer.cluster };
  return askToRenew(answer.authorities, trust, { clock, node, roles });
}

/** A request of one's own making. */
function post(path: string, body: string | Buffer, method = "POST"): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host: "127.0.0.1", port, path, method, rejectUnauthorized: false, agent: false },
      (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    call.on("error", reject);
    call.end(body);
  });
}

describe("a join", () => {
  it("gives each role a certificate that says who it is, and that others check", async () => {
    const text = await token();
    const asked = await asking(text, "n2", ["supervisor", "snapshotter"]);
    const { credentials, cluster, ca, expiresAt } = await join_(text, asked);
    expect(Object.keys(credentials).sort()).toEqual(["launcher", "snapshotter", "supervisor"]);
    const certificate = new X509Certificate(credentials["supervisor"]?.certificate ?? "");
    expect(certificate.subjectAltName).toBe(`URI:spiffe://${cluster}/node/n2/supervisor`);
    expect(certificate.ca).toBe(false);
    // What renews the others outlasts a host that is off for a while.
    const launcher = new X509Certificate(credentials[launcherRole]?.certificate ?? "");
    expect(Date.parse(launcher.validTo) - Date.now()).toBeGreaterThan(300 * 24 * hourMs);
    expect(Math.abs(Date.parse(certificate.validTo) - expiresAt)).toBeLessThan(2_000);
    const file = join(dir, "issued.pem");
    writeFileSync(file, credentials["supervisor"]?.certificate ?? "");
    writeFileSync(join(dir, "ca.pem"), ca);
    const checked = execFileSync("openssl", [
      "verify",
      "-x509_strict",
      "-purpose",
      "sslclient",
      "-CAfile",
      join(dir, "ca.pem"),
      file,
    ]);
    expect(checked.toString()).toContain(": OK");
    // A node's certificate signs nothing.
    expect(() => execFileSync("openssl", ["verify", "-CAfile", file, file], { stdio: "pipe" })).toThrow();
  });

  it("whose answer was lost may be repeated, also after a restart, and counts once", async () => {
    const text = await token();
    const asked = await asking(text, "n2");
    await join_(text, asked);
    await close();
    await open();
    await join_(text, asked);
    await expect(join_(text, await asking(text, "n2"))).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
    expect(membership.list().map(({ nodeId }) => nodeId)).toEqual(["first-id", "n2"]);
  });

  it("by one token of two hosts at once lets one in", async () => {
    const text = await token();
    const hosts = await Promise.all(["n2", "n3", "n4"].map((id) => asking(text, id)));
    const ends = await Promise.allSettled(hosts.map((host) => join_(text, host)));
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(membership.list()).toHaveLength(2);
  });

  it("of two hosts of one name at once lets one in, and takes no token of the other", async () => {
    const text = await token({ uses: 2 });
    const hosts = await Promise.all(["n2", "n3"].map((id) => asking(text, id, ["supervisor"], "same")));
    const ends = await Promise.allSettled(hosts.map((host) => join_(text, host)));
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(tokens.list()).toMatchObject([{ uses: 2, usedBy: [{ nodeName: "same" }] }]);
  });

  it("can't take the place of a node that is there, nor of the authority's own", async () => {
    const text = await token({ uses: 3 });
    await join_(text, await asking(text, "n2"));
    for (const [id, name] of [
      ["n2", "n2"],
      ["n2", "another"],
      ["first-id", "another"],
    ] as const) {
      const thief = await asking(text, id, ["supervisor"], name);
      await expect(join_(text, thief)).rejects.toMatchObject({
        reason: "CONFLICT",
        message: expect.stringContaining("is there already, as"),
      });
    }
  });

  it.each([
    ["the authority", ["authority"]],
    ["NATS", ["nats"]],
    ["the launcher twice", [launcherRole]],
    ["an image store beside the site's", ["image-store"]],
  ])("can't be of %s", async (_, services) => {
    const text = await token({ roles: services[0] === "image-store" ? ["image-store"] : [] });
    await expect(join_(text, await asking(text, "n2", services))).rejects.toMatchObject({ name: "BerthError" });
    expect(membership.list()).toHaveLength(1);
  });

  it("with a request that is broken, of another kind of key, or signed by another, is refused", async () => {
    const text = await token();
    const other = execFileSync(
      "openssl",
      ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x"],
      { stdio: ["ignore", "pipe", "ignore"] },
    ).toString();
    const { requestPem } = await createRequest("x");
    const body = requestPem.split("\n");
    const swapped = [body[0], body[1], (body[2] ?? "").split("").reverse().join(""), ...body.slice(3)].join("\n");
    for (const request of ["nonsense", other, swapped]) {
      const asked = await asking(text, "n2");
      asked.body.roles[0] = { role: "supervisor", request, natsKey: "" };
      await expect(join_(text, asked)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    }
    const asked = await asking(text, "n2");
    asked.body.roles[0] = { role: "supervisor", request: requestPem, natsKey: "UNONSENSE" };
    await expect(join_(text, asked)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    expect(tokens.list()).toHaveLength(1);
  });
});

describe("a renewal", () => {
  it("is for the node's own launcher", async () => {
    const text = await token({ uses: 2 });
    const asked = await asking(text, "n2");
    const answer = await join_(text, asked);
    expect((await renew(answer, asked)).credentials["supervisor"]?.certificate).toContain("BEGIN CERTIFICATE");
    await expect(renew(answer, asked, "supervisor")).rejects.toMatchObject({ reason: "FORBIDDEN" });
    const otherNode = { ...asked, body: { ...asked.body, node: { ...asked.body.node, id: "first-id" } } };
    await expect(renew(answer, otherNode)).rejects.toMatchObject({ reason: "FORBIDDEN" });
    const more = await asking(text, "n2", ["supervisor", "image-store"]);
    more.keys = asked.keys;
    await expect(renew(answer, more)).rejects.toMatchObject({ reason: "CONFLICT" });
  });

  it("of a copy of a host is refused while the first is heard of", async () => {
    const text = await token();
    const asked = await asking(text, "n2");
    const answer = await join_(text, asked);
    heard.add("n2");
    const copy = { ...asked, body: { ...asked.body, node: { ...asked.body.node, advertise: "10.0.0.9" } } };
    await expect(renew(answer, copy)).rejects.toMatchObject({ reason: "CONFLICT" });
    await renew(answer, asked);
    heard.delete("n2");
    await renew(answer, copy);
    expect(membership.list()[1]).toMatchObject({ address: "10.0.0.9" });
  });

  it("is refused to a node that was shut out, whose name is free then, until it has joined anew", async () => {
    const text = await token({ uses: 4 });
    const asked = await asking(text, "n2");
    const answer = await join_(text, asked);
    await membership.revoke("n2");
    expect(revoked.map(([nodeId]) => nodeId)).toEqual(["n2"]);
    expect(Object.keys(natsRevoked)).toEqual([asked.body.roles[0]?.natsKey]);
    await expect(renew(answer, asked)).rejects.toMatchObject({
      reason: "FORBIDDEN",
      message: expect.stringContaining("was shut out"),
    });
    await join_(text, await asking(text, "n9", ["supervisor"], "n2"));
    await expect(join_(text, await asking(text, "n2"))).rejects.toMatchObject({ reason: "CONFLICT" });
    const again = await asking(text, "n2", ["supervisor"], "renamed");
    const anew = await join_(text, again);
    await renew(anew, again);
    await expect(renew(answer, { ...asked, body: again.body })).rejects.toMatchObject({ reason: "FORBIDDEN" });
    await expect(membership.revoke("first")).rejects.toMatchObject({ reason: "CONFLICT" });
    await expect(membership.revoke("nobody")).rejects.toMatchObject({ reason: "NOT_FOUND" });
  });

  it("remembers over a restart who is out, and tells it again", async () => {
    const text = await token();
    const asked = await asking(text, "n2");
    const answer = await join_(text, asked);
    await membership.revoke("n2");
    revoked.length = 0;
    await close();
    await open();
    membership.announceAll();
    expect(revoked).toMatchObject([["n2", expect.any(Number)]]);
    expect(Object.keys(natsRevoked)).toHaveLength(1);
    await expect(renew(answer, asked)).rejects.toMatchObject({ reason: "FORBIDDEN" });
  });
});

describe("the listener", () => {
  it.each([
    ["/join", "", 400],
    ["/join", "null", 400],
    ["/join", '{"clock":"now"}', 400],
    ["/join", "x".repeat(1_000_000), 400],
    ["/renew", "{}", 401],
    ["/other", "{}", 404],
    ["/../etc/passwd", "{}", 404],
  ])("answers %s with %j as it should", async (path, body, status) => {
    expect((await post(path, body)).status).toBe(status);
  });

  it("takes nothing but POST, and serves on after all that", async () => {
    expect((await post("/join", "", "GET")).status).toBe(400);
    const many = Array.from({ length: 50 }, () => post("/join", Buffer.from([0xff, 0xfe, 0x00])));
    for (const { status } of await Promise.all(many)) expect(status).toBe(400);
    const text = await token();
    await join_(text, await asking(text, "n2"));
  });

  it("shows a new certificate as soon as its file is replaced", async () => {
    const text = await token();
    const answer = await join_(text, await asking(text, "n2"));
    expect(answer.cluster).toBe(certificates.cluster);
    const { keyPem, requestPem } = await createRequest("first");
    const identity = { cluster: certificates.cluster, nodeId: "first-id", role: "supervisor" };
    const wrong = await certificates.issue(requestPem, identity, "first", hourMs);
    writeFileSync(join(dir, "identity.pem"), keyPem + wrong.certificatePem + certificates.certificatePem);
    // One that is not for an authority: who joins sees it, and says nothing to it.
    const second = await token();
    const asked = await asking(second, "n3");
    await expect
      .poll(
        () =>
          join_(second, asked).then(
            () => "joined",
            (error: Error) => error.message,
          ),
        { timeout: 5_000 },
      )
      .toContain("is not the engine that the token is for");
  });
});
