// A real nats-server that trusts an authority of the test's own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CertificateAuthority, createNatsKey, createRequest, credentials, NatsAuthority } from "@berth/identity";
import { acquireNatsServer, prepareSharedNats, type SharedNats } from "../../src/index.ts";

export const hourMs = 3_600_000;

export interface NatsUser {
  publicKey: string;
  /** A file's content: JWT and seed. */
  credentials: string;
}

export class SecureNats {
  readonly dir: string;
  readonly address: string;
  readonly authority: CertificateAuthority;
  readonly trust: NatsAuthority;
  readonly caFile: string;
  /** What its configuration was made of. */
  shared!: SharedNats;
  #server: ChildProcess | undefined;

  private constructor(dir: string, address: string, authority: CertificateAuthority) {
    this.dir = dir;
    this.address = address;
    this.authority = authority;
    this.trust = NatsAuthority.open(join(dir, "authority"), authority.cluster);
    this.caFile = join(dir, "authority/ca.pem");
  }

  /** `role`: what the server's certificate says that it is. */
  static async start(role = "nats"): Promise<SecureNats> {
    const dir = mkdtempSync(join(tmpdir(), "berth-identity-"));
    const port = await freePort();
    const authority = await CertificateAuthority.open(join(dir, "authority"));
    const nats = new SecureNats(dir, `127.0.0.1:${port}`, authority);
    const { trust, caFile } = nats;
    const trustFile = join(dir, "trust.conf");
    writeFileSync(trustFile, await trust.trustConfiguration());
    const place = { host: "127.0.0.1", port, url: `tls://127.0.0.1:${port}`, account: trust.account };
    nats.shared = { ...place, identityFile: await nats.certificate(role), caFile, trustFile };
    const { configFile } = prepareSharedNats(join(dir, "nats"), nats.shared);
    const server = spawn(await acquireNatsServer(), ["-c", configFile], { stdio: ["ignore", "ignore", "pipe"] });
    nats.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("exit", () => reject(new Error("nats-server ended")));
      server.stderr.on("data", (said: Buffer) => {
        if (said.includes("Server is ready")) resolve();
      });
    });
    return nats;
  }

  /** A file with key and certificate of a role of node n1. */
  async certificate(role: string): Promise<string> {
    const { keyPem, requestPem } = await createRequest("node");
    const identity = { cluster: this.authority.cluster, nodeId: "n1", role };
    const issued = await this.authority.issue(requestPem, identity, "node", hourMs);
    const file = join(this.dir, `${role}.pem`);
    writeFileSync(file, keyPem + issued.certificatePem);
    return file;
  }

  async user(role: string, nodeId: string, expiresAt = Date.now() + hourMs, from = this.trust): Promise<NatsUser> {
    const { seed, publicKey } = createNatsKey();
    const jwt = await from.userJwt({ cluster: this.authority.cluster, nodeId, role }, publicKey, expiresAt);
    return { publicKey, credentials: credentials(jwt, seed) };
  }

  async close(): Promise<void> {
    const server = this.#server;
    if (server?.exitCode === null) {
      server.removeAllListeners("exit");
      server.kill();
      await once(server, "exit");
    }
    rmSync(this.dir, { recursive: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
