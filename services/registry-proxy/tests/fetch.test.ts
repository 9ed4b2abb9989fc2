import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fetchUrl } from "../src/domain/fetch.ts";
import { TokenCache } from "../src/domain/registry/auth.ts";
import type { RegistryShared } from "../src/domain/registry/client.ts";
import { Http } from "../src/domain/registry/http.ts";
import { type FakeRegistry, startFakeRegistry } from "./support/fake-registry.ts";

let server: FakeRegistry;
let shared: RegistryShared;
const never = new AbortController().signal;

beforeAll(async () => {
  server = await startFakeRegistry();
  const http = new Http({ connect: 5_000, headers: 5_000, idle: 5_000 });
  shared = { http, tokens: new TokenCache(), schemes: new Map(), userAgent: "test" };
});
afterAll(async () => {
  await shared.http.close();
  await server.close();
});
afterEach(() => {
  server.intercept = undefined;
});

/** Docker 28.5's texts. */
describe("what lies at a URL", () => {
  it("is read as it comes, by http where no scheme is said, and after a redirect", async () => {
    const content = Buffer.alloc(700_000, "content");
    server.intercept = ({ url = "" }, response) => {
      if (url === "/moved") response.writeHead(302, { location: "/there" }).end();
      else response.writeHead(200, { "content-length": content.length }).end(content);
      return true;
    };
    for (const address of [`http://${server.host}/there`, `http://${server.host}/moved`, `${server.host}/there`]) {
      const { url, size, body } = await fetchUrl(shared, address, never);
      expect([url, size]).toEqual([address.startsWith("http") ? address : `http://${address}`, content.length]);
      expect(Buffer.concat(await Array.fromAsync(body)).equals(content)).toBe(true);
    }
  });

  it("has no size when the server says none", async () => {
    server.intercept = (_request, response) => {
      response.write("a");
      response.end("b");
      return true;
    };
    const { size, body } = await fetchUrl(shared, server.host, never);
    expect([size, Buffer.concat(await Array.fromAsync(body)).toString()]).toEqual([0, "ab"]);
  });

  it.each([
    [404, "NOT_FOUND"],
    [403, "FORBIDDEN"],
    [400, "INVALID_ARGUMENT"],
    [502, "INTERNAL"],
  ])("is told of when the answer is %i", async (status, reason) => {
    server.intercept = (_request, response) => {
      response.writeHead(status).end(" a page\n");
      return true;
    };
    const address = `http://${server.host}/x`;
    await expect(fetchUrl(shared, address, never)).rejects.toMatchObject({
      reason,
      message: expect.stringMatching(`^failed to GET ${address} with status ${status} [A-Z].*: a page$`),
    });
  });

  it("is not there when nobody answers", async () => {
    await expect(fetchUrl(shared, "http://127.0.0.1:1/x", never)).rejects.toMatchObject({
      reason: "INTERNAL",
      message: 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    });
  });

  it.each([
    ["ftp://127.0.0.1/x", "INTERNAL", 'Get "ftp://127.0.0.1/x": unsupported protocol scheme "ftp"'],
    ["file:///etc/passwd", "INTERNAL", 'Get "file:///etc/passwd": unsupported protocol scheme "file"'],
    ["http://[::", "INVALID_ARGUMENT", 'parse "http://[::": invalid URL'],
    [" ", "INVALID_ARGUMENT", 'parse "http:// ": invalid URL'],
    [`http://x/${"a".repeat(10_000)}`, "INVALID_ARGUMENT", "invalid URL"],
  ])("can't be asked for: %j", async (address, reason, message) => {
    await expect(fetchUrl(shared, address, never)).rejects.toMatchObject({
      reason,
      message: expect.stringContaining(message),
    });
  });
});
