import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { login } from "../src/domain/login.ts";
import { anonymous, TokenCache } from "../src/domain/registry/auth.ts";
import type { RegistryShared } from "../src/domain/registry/client.ts";
import { Http } from "../src/domain/registry/http.ts";
import { search } from "../src/domain/search.ts";
import { type FakeRegistry, fault, startFakeRegistry } from "./support/fake-registry.ts";

let registry: FakeRegistry;
let shared: RegistryShared;
const user = { ...anonymous, username: "user", password: "pw" };
const never = new AbortController().signal;

beforeAll(async () => {
  registry = await startFakeRegistry();
  const http = new Http({ connect: 5_000, headers: 5_000, idle: 5_000 });
  shared = { http, tokens: new TokenCache(), schemes: new Map(), userAgent: "test" };
});
afterAll(async () => {
  await shared.http.close();
  await registry.close();
});
afterEach(() => {
  registry.intercept = undefined;
  registry.log.length = 0;
});

const enter = (credentials = user) => login(shared, [], registry.host, credentials, never);
const basicHeader = `Basic ${Buffer.from("user:pw").toString("base64")}`;

function challenge(response: ServerResponse, value: string): true {
  response.setHeader("www-authenticate", value);
  fault(response, 401, "UNAUTHORIZED", "authentication required");
  return true;
}

describe("a registry that wants a password", () => {
  const basic: FakeRegistry["intercept"] = ({ headers }, response) =>
    headers.authorization === basicHeader ? false : challenge(response, 'Basic realm="r"');

  it("takes the right one", async () => {
    registry.intercept = basic;
    expect(await enter()).toBe("");
  });
  it("refuses another, in Docker's words", async () => {
    registry.intercept = basic;
    await expect(enter({ ...user, password: "no" })).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
      message: `login attempt to http://${registry.host}/v2/ failed with status: 401 Unauthorized`,
    });
  });
  it("is shown nothing when there is nothing to show", async () => {
    registry.intercept = basic;
    await expect(enter(anonymous)).rejects.toMatchObject({
      message: `Get "http://${registry.host}/v2/": no basic auth credentials`,
    });
  });
});

describe("a registry that wants a token", () => {
  const tokens: FakeRegistry["intercept"] = ({ url = "", headers }, response) => {
    if (url === "/v2/" && headers.authorization === "Bearer good") return false;
    if (url === "/v2/") return challenge(response, `Bearer realm="http://${registry.host}/token",service="s"`);
    if (headers.authorization !== basicHeader) fault(response, 401, "UNAUTHORIZED", "incorrect username or password");
    else response.end(JSON.stringify({ token: "good", refresh_token: "lasting" }));
    return true;
  };

  it("gives one that stands for the password from then on", async () => {
    registry.intercept = tokens;
    expect(await enter()).toBe("lasting");
    const asked = registry.log.find((line) => line.includes("/token")) ?? "";
    expect(asked).toContain("offline_token=true");
    expect(asked).toContain("account=user");
    expect(asked).not.toContain("scope=");
  });
  it("refuses a wrong password, and it is not tried again in the clear", async () => {
    registry.intercept = tokens;
    await expect(enter({ ...user, password: "no" })).rejects.toMatchObject({
      reason: "UNAUTHENTICATED",
      message: `Get "http://${registry.host}/v2/": unauthorized: incorrect username or password`,
    });
  });
});

describe("a registry's index", () => {
  const ask = (term: string, limit = 25) => search(shared, [], { term, limit, credentials: anonymous }, never);

  it("is searched", async () => {
    const found = { name: "a/b", description: "d", star_count: 3, is_official: true };
    registry.intercept = ({ url = "" }, response) => {
      response.end(url.startsWith("/v1/search") ? JSON.stringify({ results: [found, null, {}] }) : "{}");
      return true;
    };
    expect(await ask(`${registry.host}/b c`, 2)).toEqual([
      { name: "a/b", description: "d", starCount: 3, isOfficial: true },
      { name: "", description: "", starCount: 0, isOfficial: false },
    ]);
    expect(registry.log.at(-1)).toBe("GET /v1/search?q=b%20c&n=2");
  });
  it("is missing where only the new API is spoken", async () => {
    registry.intercept = (_request, response) => {
      fault(response, 404, "NOT_FOUND", "no");
      return true;
    };
    await expect(ask(`${registry.host}/x`)).rejects.toThrow(`invalid registry endpoint "http://${registry.host}/v1/"`);
  });
  it("is not asked for an address", async () => {
    await expect(ask("https://x/y")).rejects.toThrow("repository name (https://x/y) should not have a scheme");
  });
});
