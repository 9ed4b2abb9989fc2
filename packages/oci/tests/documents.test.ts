import { describe, expect, it } from "vitest";
import {
  chainIds,
  digestOf,
  formatPlatform,
  hostPlatform,
  MediaType,
  matchesPlatform,
  parseConfig,
  parseDigest,
  parseIndex,
  parseManifest,
  parsePlatform,
  selectPlatform,
  sniffMediaType,
} from "../src/index.ts";

const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const digest = digestOf("x");
const config = { mediaType: MediaType.ociConfig, digest, size: 1 };
const layer = { mediaType: MediaType.ociLayerGzip, digest, size: 2 };
const manifest = { schemaVersion: 2, mediaType: MediaType.ociManifest, config, layers: [layer] };

describe("manifests", () => {
  it("reads both families", () => {
    expect(parseManifest(bytes(manifest))).toEqual({ mediaType: MediaType.ociManifest, config, layers: [layer] });
    const docker = { ...manifest, mediaType: MediaType.dockerManifest };
    expect(parseManifest(bytes(docker), MediaType.dockerManifest).mediaType).toBe(MediaType.dockerManifest);
    expect(sniffMediaType(bytes({ ...manifest, mediaType: undefined }))).toBe(MediaType.ociManifest);
    expect(sniffMediaType(bytes({ schemaVersion: 2, manifests: [] }))).toBe(MediaType.ociIndex);
    expect(sniffMediaType(bytes({}))).toBeUndefined();
  });

  it.each([
    ["{", "manifest is not JSON"],
    [[], "manifest is not an object"],
    [{ ...manifest, schemaVersion: 1 }, "manifest.schemaVersion must be 2"],
    [{ ...manifest, mediaType: "text/html" }, 'manifest has media type "text/html"'],
    [{ ...manifest, config: undefined }, "manifest.config is not an object"],
    [{ ...manifest, manifests: [] }, "both"],
    [{ ...manifest, layers: {} }, "manifest.layers is not a list"],
    [{ ...manifest, layers: Array(501).fill(layer) }, "more than 500"],
    [{ ...manifest, layers: [{ ...layer, digest: "sha256:zz" }] }, "manifest.layers[0].digest is not a digest"],
    [{ ...manifest, layers: [{ ...layer, digest: `sha512:${"0".repeat(128)}` }] }, "only sha256"],
    [{ ...manifest, layers: [{ ...layer, size: -1 }] }, "manifest.layers[0].size is not a size"],
    [{ ...manifest, layers: [{ ...layer, size: 1.5 }] }, "manifest.layers[0].size is not a size"],
    [{ ...manifest, annotations: { a: 1 } }, "annotations"],
    [Buffer.alloc(4 * 1024 * 1024 + 1, 32).toString(), "larger than"],
  ])("refuses %#", (value, message) => {
    expect(() => parseManifest(bytes(value))).toThrow(message);
  });

  it("refuses an index that came as a manifest", () => {
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [] };
    expect(() => parseManifest(bytes(index), MediaType.ociManifest)).toThrow("media type");
    expect(() => parseIndex(bytes(index), MediaType.ociManifest)).toThrow("but came as");
    expect(parseIndex(bytes(index)).manifests).toEqual([]);
  });

  it("reads configs", () => {
    const parsed = parseConfig(
      bytes({
        architecture: "amd64",
        os: "linux",
        created: "2024-01-01T00:00:00Z",
        config: { Labels: { a: "b" }, Cmd: ["sh"] },
        rootfs: { type: "layers", diff_ids: [digest] },
      }),
    );
    expect(parsed).toMatchObject({ platform: { os: "linux", architecture: "amd64" }, diffIds: [digest], history: [] });
    expect(() => parseConfig(bytes({ rootfs: { type: "x" } }))).toThrow("rootfs.type");
    expect(() => parseConfig(bytes({ rootfs: { type: "layers", diff_ids: ["x"] } }))).toThrow("diff_ids[0]");
    expect(parseConfig(bytes({ rootfs: { type: "layers", diff_ids: null } })).diffIds).toEqual([]);
  });
});

describe("digests", () => {
  it("makes chain ids", () => {
    const a = digestOf("a");
    const b = digestOf("b");
    expect(chainIds([])).toEqual([]);
    expect(chainIds([a, b])).toEqual([a, digestOf(`${a} ${b}`)]);
  });

  it.each([
    ["sha256", "invalid checksum digest format"],
    ["sha1:abc", "unsupported digest algorithm"],
    ["sha256:abc", "invalid checksum digest length"],
    [`sha256:${"G".repeat(64)}`, "invalid checksum digest format"],
  ])("refuses %s", (text, message) => {
    expect(() => parseDigest(text)).toThrow(message);
  });
});

describe("platforms", () => {
  const entry = (text: string) => ({ platform: parsePlatform(text), name: text });

  it("folds spellings", () => {
    expect(formatPlatform(parsePlatform("linux/aarch64/v8"))).toBe("linux/arm64");
    expect(formatPlatform(parsePlatform("x86_64"))).toBe("linux/amd64");
    expect(formatPlatform(parsePlatform("linux/arm"))).toBe("linux/arm/v7");
    expect(formatPlatform(parsePlatform("linux"))).toBe(formatPlatform(hostPlatform()));
    expect(formatPlatform(hostPlatform("x64"))).toBe("linux/amd64");
    expect(() => parsePlatform("a/b/c/d")).toThrow('"a/b/c/d": cannot parse platform specifier: invalid argument');
    expect(() => parsePlatform("foo")).toThrow('"foo": unknown operating system or architecture: invalid argument');
    expect(() => parsePlatform("")).toThrow('"" is an invalid OS component of "": OSAndVersion');
    expect(() => parsePlatform("linux/ ")).toThrow('" " is an invalid component of "linux/ "');
  });

  it("takes the nearest variant", () => {
    const entries = [entry("linux/arm/v5"), entry("linux/arm/v7"), entry("linux/arm/v6"), entry("linux/amd64")];
    expect(selectPlatform(entries, parsePlatform("linux/arm/v6"))?.name).toBe("linux/arm/v6");
    expect(selectPlatform(entries, parsePlatform("linux/arm/v8"))?.name).toBe("linux/arm/v7");
    expect(selectPlatform(entries, parsePlatform("linux/arm64"))).toBeUndefined();
    expect(selectPlatform(entries, parsePlatform("linux/arm64"), true)?.name).toBe("linux/arm/v7");
    expect(selectPlatform(entries, parsePlatform("linux/riscv64"))).toBeUndefined();
    expect(selectPlatform([entry("linux/amd64/v3"), entry("linux/amd64")], parsePlatform("amd64"))?.name).toBe(
      "linux/amd64",
    );
  });

  it("matches", () => {
    expect(matchesPlatform(parsePlatform("linux/arm64"), { os: "linux", architecture: "arm64", variant: "v8" })).toBe(
      true,
    );
    expect(matchesPlatform(parsePlatform("linux/arm64"), parsePlatform("linux/amd64"))).toBe(false);
  });
});
