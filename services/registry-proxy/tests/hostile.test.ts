import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { digestOf, MediaType, type Platform, parsePlatform } from "@berth/oci";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Puller } from "../src/domain/puller.ts";
import { anonymous, type Credentials } from "../src/domain/registry/auth.ts";
import type { BlobWriter, ImageSink, PullMessage } from "../src/domain/sink.ts";
import { addFakeImage, type FakeRegistry, fault, sendRange, startFakeRegistry } from "./support/fake-registry.ts";

/** What the image store does, in memory: these tests are about registries. The real one is in the other tests. */
class MemorySink implements ImageSink {
  readonly blobs = new Map<string, Buffer>();
  readonly parts = new Map<string, Buffer>();
  readonly tags = new Map<string, string>();
  beginLease = async () => "lease";
  endLease = async () => {};
  blobSize = async (digest: string) => this.blobs.get(digest)?.length;
  readDocument = async (digest: string) => this.blobs.get(digest) ?? Buffer.alloc(0);
  putManifest = async () => {};
  async tag({ manifest, name }: { manifest: string; name: string }) {
    this.tags.set(name, manifest);
    return { imageId: "id", changed: true };
  }
  async writeBlob({ digest, size }: { digest: string; size: number }): Promise<BlobWriter> {
    let content = this.parts.get(digest) ?? Buffer.alloc(0);
    const offset = this.blobs.has(digest) ? size : content.length;
    return {
      offset,
      chunkSize: 1000,
      write: (chunk) => {
        content = Buffer.concat([content, chunk]);
        return undefined;
      },
      commit: async () => {
        this.parts.delete(digest);
        const { BerthError } = await import("@berth/errors");
        if (offset < size && digestOf(content) !== digest) throw new BerthError("DATA_LOSS", "blob has another digest");
        if (offset < size) this.blobs.set(digest, content);
      },
      abort: async () => void this.parts.set(digest, content),
    };
  }
}

let registry: FakeRegistry;
let sink: MemorySink;
let puller: Puller;
const pullers: Puller[] = [];
const content = randomBytes(300_000);

beforeAll(async () => {
  registry = await startFakeRegistry();
});
afterAll(() => registry.close());
beforeEach(() => {
  sink = new MemorySink();
  puller = makePuller();
  registry.intercept = undefined;
  registry.log.length = 0;
  registry.headers.length = 0;
});
afterEach(async () => {
  await Promise.all(pullers.splice(0).map((each) => each.close()));
});

function makePuller(timeouts = { connect: 1000, headers: 500, idle: 300 }): Puller {
  const made = new Puller({ sink, insecureRegistries: [], parallel: 3, timeouts, pauses: [0.01, 0.01, 0.01] });
  pullers.push(made);
  return made;
}

interface PullArguments {
  platform?: Platform;
  credentials?: Partial<Credentials>;
  signal?: AbortSignal;
}

async function pull(name: string, more: PullArguments = {}): Promise<PullMessage[]> {
  const { platform, credentials = {}, signal = new AbortController().signal } = more;
  const full = name.startsWith("127.") ? name : `${registry.host}/${name}`;
  return Array.fromAsync(puller.pull(full, platform, { ...anonymous, ...credentials }, signal));
}

const failing = (name: string, more?: PullArguments) =>
  pull(name, more).then(
    () => "it worked",
    (error: Error) => error.message,
  );

describe("a registry that answers", () => {
  it("gives the image of the platform", async () => {
    const amd = await addFakeImage(registry, "amd", [content], "amd64");
    const arm = await addFakeImage(registry, "arm", [content], "arm64");
    const entry = (digest: string, architecture: string) => ({
      mediaType: MediaType.dockerManifest,
      digest,
      size: registry.manifests.get(digest)?.content.length,
      platform: { os: "linux", architecture },
    });
    const index = Buffer.from(
      JSON.stringify({ schemaVersion: 2, manifests: [entry(amd.digest, "amd64"), entry(arm.digest, "arm64")] }),
    );
    registry.manifests.set("multi", { mediaType: MediaType.ociIndex, content: index });
    await pull("x:multi", { platform: parsePlatform("linux/arm64/v8") });
    expect(sink.tags.get(`${registry.host}/x:multi`)).toBe(arm.digest);
    expect(await failing("x:multi", { platform: parsePlatform("linux/s390x") })).toBe(
      "no matching manifest for linux/s390x in the manifest list entries",
    );
    const resolved = await puller.resolve(`${registry.host}/x:multi`, anonymous, new AbortController().signal);
    expect(resolved.platforms).toHaveLength(2);
    expect(resolved.descriptor).toMatchObject({ digest: digestOf(index), mediaType: MediaType.ociIndex });
  });

  it("is told apart from one that has nothing, in Docker's words", async () => {
    expect(await failing("x:none")).toBe(
      `manifest for ${registry.host}/x:none not found: manifest unknown: manifest unknown`,
    );
    const answers: [number, string, string, string][] = [
      [
        404,
        "NAME_UNKNOWN",
        "repository name not known to registry",
        `repository ${registry.host}/x not found: name unknown: repository name not known to registry`,
      ],
      [
        403,
        "DENIED",
        "requested access to the resource is denied",
        `pull access denied for ${registry.host}/x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
      ],
      [429, "TOOMANYREQUESTS", "slow down", "toomanyrequests: slow down"],
      [500, "UNKNOWN", "broken", "unknown: broken"],
    ];
    for (const [status, code, message, expected] of answers) {
      registry.intercept = ({ url }, response) => {
        if (!url?.includes("/manifests/")) return false;
        fault(response, status, code, message);
        return true;
      };
      expect(await failing("x:any")).toBe(expected);
    }
    registry.intercept = (_, response) => Boolean(response.writeHead(502).end("<html>"));
    expect(await failing("x:any")).toBe("received unexpected HTTP status: 502 Bad Gateway");
  });

  it("may refuse connections, hang, or speak no HTTP", async () => {
    expect(await failing("127.0.0.1:1/x")).toBe(
      `Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`,
    );
    registry.intercept = () => true;
    expect(await failing("x")).toMatch(/^Get "http:.*Client.Timeout exceeded while awaiting headers/);
    const babbler = createTcpServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .end("220 hello\r\n"),
    );
    await new Promise<void>((resolve) => babbler.listen(0, "127.0.0.1", resolve));
    const { port } = babbler.address() as { port: number };
    expect(await failing(`127.0.0.1:${port}/x`)).toMatch(/^Get "http/);
    await new Promise((resolve) => babbler.close(resolve));
    expect(await failing("127.0.0.1:5000/X")).toContain("must be lowercase");
  });
});

describe("a registry that cuts connections", () => {
  const atBlob = (handle: (response: ServerResponse, range: string | undefined, count: number) => boolean) => {
    let count = 0;
    registry.intercept = ({ url, headers }, response) => {
      const length = registry.blobs.get(url?.split("/").at(-1) ?? "")?.length ?? 0;
      return length > 10_000 ? handle(response, headers.range, count++) : false;
    };
  };

  it("is asked for the rest", async () => {
    const { layers } = await addFakeImage(registry, "cut", [content]);
    const blob = registry.blobs.get(layers[0] ?? "") ?? Buffer.alloc(0);
    const ranges: (string | undefined)[] = [];
    atBlob((response, range, count) => {
      ranges.push(range);
      if (count > 2) return false;
      const from = Number(range?.slice(6, -1) ?? 0);
      response.writeHead(from ? 206 : 200, {
        "content-length": blob.length - from,
        "content-range": `bytes ${from}-${blob.length - 1}/${blob.length}`,
      });
      response.write(blob.subarray(from, from + 50_000), () => response.destroy());
      return true;
    });
    const messages = await pull("x:cut");
    expect(sink.blobs.get(layers[0] ?? "")?.equals(blob)).toBe(true);
    expect(ranges).toHaveLength(4);
    expect(ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? ""))).toBe(true);
    expect(messages.some((message) => message.kind === "done")).toBe(true);
  });

  it("may know no ranges", async () => {
    const { layers } = await addFakeImage(registry, "norange", [content]);
    const blob = registry.blobs.get(layers[0] ?? "") ?? Buffer.alloc(0);
    atBlob((response, _range, count) => {
      response.writeHead(200, { "content-length": blob.length });
      if (count === 0) response.write(blob.subarray(0, 70_001), () => response.destroy());
      else response.end(blob);
      return true;
    });
    await pull("x:norange");
    expect(sink.blobs.get(layers[0] ?? "")?.equals(blob)).toBe(true);
  });

  it("is given up after some tries without gain, and gone on with by the next pull", async () => {
    const { layers } = await addFakeImage(registry, "dead", [content]);
    const blob = registry.blobs.get(layers[0] ?? "") ?? Buffer.alloc(0);
    atBlob((response, _range, count) => {
      if (count > 0) return Boolean(response.destroy());
      response.writeHead(200, { "content-length": blob.length });
      response.write(blob.subarray(0, 60_000), () => response.destroy());
      return true;
    });
    expect(await failing("x:dead")).toMatch(/EOF|reset/);
    expect(sink.tags.size).toBe(0);
    const ranges: (string | undefined)[] = [];
    atBlob((_response, range) => {
      ranges.push(range);
      return false;
    });
    await pull("x:dead");
    expect(ranges).toEqual(["bytes=60000-"]);
  });

  it("may stand still", async () => {
    const { layers } = await addFakeImage(registry, "still", [content]);
    const blob = registry.blobs.get(layers[0] ?? "") ?? Buffer.alloc(0);
    atBlob((response, _range, count) => {
      if (count > 0) return false;
      response.writeHead(200, { "content-length": blob.length }).write(blob.subarray(0, 1000));
      return true;
    });
    await pull("x:still");
    expect(sink.blobs.size).toBe(2);
  });
});

describe("a registry that lies", () => {
  it("about a layer's bytes", async () => {
    const { layers } = await addFakeImage(registry, "lie", [content]);
    registry.blobs.set(layers[0] ?? "", Buffer.alloc(registry.blobs.get(layers[0] ?? "")?.length ?? 0));
    expect(await failing("x:lie")).toBe(`filesystem layer verification failed for digest ${layers[0]}`);
    expect([sink.tags.size, sink.blobs.has(layers[0] ?? "")]).toEqual([0, false]);
  });

  it("about sizes", async () => {
    const { layers } = await addFakeImage(registry, "long", [content]);
    const size = registry.blobs.get(layers[0] ?? "")?.length ?? 0;
    registry.blobs.set(layers[0] ?? "", Buffer.alloc(size + 1));
    expect(await failing("x:long")).toContain(`has ${size} bytes by its manifest, the registry has ${size + 1} bytes`);
    registry.intercept = ({ url }, response) => {
      if (!url?.endsWith(layers[0] ?? "?")) return false;
      // Without a length, and without an end.
      response.writeHead(200);
      const more = () => response.writable && response.write(Buffer.alloc(65_536)) && setImmediate(more);
      response.on("drain", more).on("error", () => {});
      return Boolean(more()) || true;
    };
    expect(await failing("x:long")).toContain("the registry sends more");
  });

  it("about manifests", async () => {
    const { digest } = await addFakeImage(registry, "m", [content]);
    const other = `sha256:${"1".repeat(64)}`;
    const document = registry.manifests.get(digest) ?? { mediaType: "", content: Buffer.alloc(0) };
    registry.manifests.set(other, document);
    expect(await failing(`x@${other}`)).toBe(`manifest verification failed for digest ${other}`);
    const set = (value: Buffer | string, mediaType = "application/json") =>
      registry.manifests.set("m", { mediaType, content: Buffer.from(value) });
    set("{");
    expect(await failing("x:m")).toContain("manifest is not JSON");
    set("{}", "text/html");
    expect(await failing("x:m")).toContain("unsupported media type");
    set(JSON.stringify({ schemaVersion: 1 }));
    expect(await failing("x:m")).toContain(
      "unsupported media type application/vnd.docker.distribution.manifest.v1+json",
    );
    set(Buffer.alloc(5 * 1024 * 1024, 32));
    expect(await failing("x:m")).toContain("the answer is larger than 4194304 bytes");
    const json = JSON.parse(document.content.toString()) as { config: { size: number }; layers: unknown[] };
    set(JSON.stringify({ ...json, layers: [] }), MediaType.dockerManifest);
    expect(await failing("x:m")).toBe("the manifest has 0 layers, its config 1");
    set(JSON.stringify({ ...json, config: { ...json.config, size: 1e9 } }), MediaType.dockerManifest);
    expect(await failing("x:m")).toContain("the image's config has 1000000000 bytes");
    expect(sink.tags.size).toBe(0);
  });

  it("with headers without end, and in circles", async () => {
    registry.intercept = (_, response) => Boolean(response.writeHead(200, { "x-long": "x".repeat(200_000) }).end());
    expect(await failing("x")).toMatch(/^Get "http/);
    registry.intercept = ({ url }, response) =>
      url === "/v2/" ? false : Boolean(response.writeHead(302, { location: "/v2/again" }).end());
    expect(await failing("x")).toContain("stopped after 5 redirects");
    registry.intercept = ({ url }, response) =>
      url === "/v2/" ? false : Boolean(response.writeHead(302, { location: "file:///etc/passwd" }).end());
    expect(await failing("x")).toContain("redirected to an address that is none");
  });
});

describe("authorization", () => {
  const challenge = (response: ServerResponse, value: string) => {
    response.setHeader("www-authenticate", value);
    fault(response, 401, "UNAUTHORIZED", "authentication required");
    return true;
  };

  /** Tokens T1, T2, …; only the newest is taken. */
  function guard(
    tokenFields: (count: number) => object = (count) => ({ token: `T${count}` }),
    accept?: (token: string) => boolean,
  ): void {
    let count = 0;
    registry.intercept = ({ url, headers }, response) => {
      if (url?.startsWith("/token")) {
        count++;
        response.end(JSON.stringify(tokenFields(count)));
        return true;
      }
      const given = headers.authorization ?? "";
      if (accept === undefined ? given === `Bearer T${count}` : accept(given)) return false;
      return challenge(
        response,
        `Bearer realm="http://${registry.host}/token",service="the \\"service\\"",scope="repository:x:pull"`,
      );
    };
  }

  it("by token, fetched once and kept", async () => {
    await addFakeImage(registry, "auth", [content]);
    guard();
    await pull("x:auth", { credentials: { username: "me", password: "secret" } });
    const tokens = registry.log.filter((line) => line.includes("/token"));
    expect(tokens).toHaveLength(1);
    const { searchParams } = new URL(tokens[0]?.slice(4) ?? "", "http://x");
    expect(Object.fromEntries(searchParams)).toEqual({
      service: `the "service"`,
      scope: "repository:x:pull",
      account: "me",
    });
    const basic = registry.headers[registry.log.indexOf(tokens[0] ?? "")]?.authorization;
    expect(basic).toBe(`Basic ${Buffer.from("me:secret").toString("base64")}`);
    sink.blobs.clear();
    await pull("x:auth", { credentials: { username: "me", password: "secret" } });
    expect(registry.log.filter((line) => line.includes("/token"))).toHaveLength(2);
  });

  it("by a refresh token, a ready token, or user and password", async () => {
    await addFakeImage(registry, "auth", [content]);
    guard((count) => ({ access_token: `T${count}`, expires_in: 300 }));
    await pull("x:auth", { credentials: { identityToken: "refresh" } });
    expect(registry.log.filter((line) => line.startsWith("POST /token"))).toHaveLength(1);
    guard(undefined, (given) => given === "Bearer mine");
    await pull("x:auth", { credentials: { registryToken: "mine" } });
    registry.intercept = ({ headers }, response) =>
      headers.authorization === `Basic ${Buffer.from("me:secret").toString("base64")}`
        ? false
        : challenge(response, 'Basic realm="here"');
    await pull("x:auth", { credentials: { username: "me", password: "secret" } });
    expect(await failing("x:auth")).toBe(
      `Head "http://${registry.host}/v2/x/manifests/auth": no basic auth credentials`,
    );
    expect(await failing("x:auth", { credentials: { username: "me", password: "wrong" } })).toBe(
      "unauthorized: authentication required",
    );
  });

  it("never leaves the registry by a redirect", async () => {
    const { layers } = await addFakeImage(registry, "redirect", [content]);
    const storage = await startFakeRegistry();
    try {
      storage.intercept = (request, response) => {
        sendRange(request, response, registry.blobs.get(layers[0] ?? "") ?? Buffer.alloc(0));
        return true;
      };
      registry.intercept = ({ url, headers }, response) => {
        if (headers.authorization === undefined) return challenge(response, 'Basic realm="here"');
        if (!url?.endsWith(layers[0] ?? "?")) return false;
        return Boolean(response.writeHead(307, { location: `http://${storage.host}/data` }).end());
      };
      await pull("x:redirect", { credentials: { username: "me", password: "secret" } });
      expect(storage.log).toEqual(["GET /data"]);
      expect(storage.headers[0]).not.toHaveProperty("authorization");
    } finally {
      await storage.close();
    }
  });

  it("may fail in its own ways", async () => {
    for (const [fields, expected] of [
      [{}, "did not include a token"],
      [{ token: "a\r\nb: c" }, "did not include a token"],
    ] as const) {
      guard(() => fields);
      expect(await failing("x:auth")).toContain(expected);
    }
    registry.intercept = (_, response) => challenge(response, 'Bearer realm="gopher://x"');
    expect(await failing("x:auth")).toContain("has no token server");
  });
});

describe("callers", () => {
  it("who want the same share one download, and hear what they missed", async () => {
    await addFakeImage(registry, "shared", [content, randomBytes(1000)]);
    const [first, second] = await Promise.all([pull("x:shared"), pull("x:shared")]);
    expect(registry.log.filter((line) => line.includes("/manifests/"))).toHaveLength(1);
    for (const messages of [first, second]) {
      expect(messages.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["resolved", "plan", "layer", "done"]));
    }
  });

  it("may leave; when the last one has, the download stops", async () => {
    await addFakeImage(registry, "left", [content]);
    let closed = 0;
    registry.intercept = ({ url }, response) => {
      const length = registry.blobs.get(url?.split("/").at(-1) ?? "")?.length ?? 0;
      if (length < 10_000) return false;
      response.writeHead(200, { "content-length": length }).write(Buffer.alloc(10));
      response.once("close", () => closed++);
      return true;
    };
    puller = makePuller({ connect: 1000, headers: 5000, idle: 5000 });
    const leaving = [new AbortController(), new AbortController()];
    const pulls = leaving.map(({ signal }) => failing("x:left", { signal }));
    await expect.poll(() => registry.log.some((line) => line.includes("/blobs/"))).toBe(true);
    leaving[0]?.abort();
    await pulls[0];
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(closed).toBe(0);
    leaving[1]?.abort();
    await pulls[1];
    await expect.poll(() => closed).toBe(1);
    expect(sink.tags.size).toBe(0);
  });
});
