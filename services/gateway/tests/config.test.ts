import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@berth/log";
import { afterAll, describe, expect, it } from "vitest";
import { readConfig } from "../src/config.ts";
import { sendEmpty } from "../src/http/answer.ts";
import { listen } from "../src/http/listen.ts";
import { Api } from "../src/http/server.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-gateway-config-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const env = (more: Record<string, string> = {}) => ({
  BERTH_ROOT: join(dir, "root"),
  BERTH_RUN_DIR: join(dir, "run"),
  ...more,
});
const read = (more: Record<string, string> = {}) => readConfig({ env: env(more), argv: [] });
const api = () => new Api(createLogger({ service: "test", level: "silent" }));

describe("where the Engine API is served", () => {
  it("is RUN_DIR/berth.sock unless told", () => {
    expect(read().addresses).toEqual([{ kind: "unix", path: join(dir, "run/berth.sock") }]);
  });
  it("may be several addresses", () => {
    const hosts = { BERTH_HOST: "unix:///a.sock,tcp://127.0.0.1:2375", BERTH_INSECURE_TCP: "127.0.0.1:2375" };
    expect(read(hosts).addresses).toEqual([
      { kind: "unix", path: "/a.sock" },
      { kind: "tcp", host: "127.0.0.1", port: 2375, tls: false },
    ]);
  });
  it.each([
    [{ BERTH_HOST: "tcp://0.0.0.0:2375" }, "without TLS would give root to whoever reaches it"],
    [{ BERTH_HOST: "tcp://0.0.0.0:2375", BERTH_INSECURE_TCP: "127.0.0.1:2375" }, "without TLS would give root"],
    [{ BERTH_HOST: "ftp://x" }, 'BERTH_HOST: "ftp://x" is not valid'],
    [{ BERTH_TLS_CA: "/x" }, "expected all three or none"],
    [{ BERTH_GATEWAY_NOPE: "1" }, "BERTH_GATEWAY_NOPE"],
  ])("%j is refused", (more, message) => {
    expect(() => read(more)).toThrow(message);
  });
});

describe("the unix socket", () => {
  it("is for owner and group alone, replaces a dead one and no live one", async () => {
    const path = join(dir, "berth.sock");
    const first = api().createServer();
    await listen(first, { kind: "unix", path }, undefined);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    await expect(listen(api().createServer(), { kind: "unix", path }, undefined)).rejects.toThrow(
      "another engine is serving",
    );
    await new Promise((resolve) => first.close(resolve));
    // What a killed process leaves: the file without a listener.
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(dir, "dead.sock"), resolve));
    writeFileSync(join(dir, "file"), "");
    await expect(listen(api().createServer(), { kind: "unix", path: join(dir, "file") }, undefined)).rejects.toThrow(
      "is not a socket",
    );
    await new Promise((resolve) => dead.close(resolve));
  });
});

describe("TCP", () => {
  it("wants a certificate from every client", async () => {
    makeCertificates();
    const file = (name: string) => readFileSync(join(dir, name));
    const subject = api();
    subject.on("GET", "/_ping", ({ res }) => sendEmpty(res, 200));
    const server = subject.createServer({ ca: file("ca.pem"), cert: file("server.pem"), key: file("server.key") });
    await listen(server, { kind: "tcp", host: "127.0.0.1", port: 0, tls: true }, undefined);
    const { port } = server.address() as AddressInfo;
    const ping = (credentials: object) =>
      new Promise<number>((resolve, reject) => {
        const options = {
          host: "127.0.0.1",
          port,
          path: "/_ping",
          ca: file("ca.pem"),
          servername: "localhost",
          agent: false as const,
        };
        const req = request({ ...options, ...credentials }, (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        });
        req.on("error", reject);
        req.end();
      });
    expect(await ping({ cert: file("client.pem"), key: file("client.key") })).toBe(200);
    await expect(ping({})).rejects.toThrow();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });
});

/** A CA and what it signed, good for a day. */
function makeCertificates(): void {
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=test ca");
  for (const name of ["server", "client"]) {
    const subject = name === "server" ? "/CN=localhost" : "/CN=client";
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
    writeFileSync(join(dir, "ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1");
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "1",
      "-extfile",
      "ext",
      "-out",
      `${name}.pem`,
    );
  }
}
