import { describe, expect, it } from "vitest";
import {
  familiarName,
  familiarString,
  matchReference,
  parseAnyReference,
  parseReference,
  referenceString,
  withDefaultTag,
} from "../src/index.ts";

const hex = "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

describe("parseReference", () => {
  it.each([
    ["busybox", "docker.io/library/busybox", "busybox"],
    ["busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"],
    ["me/app", "docker.io/me/app", "me/app"],
    ["library/busybox", "docker.io/library/busybox", "busybox"],
    ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
    ["index.docker.io/me/app:x", "docker.io/me/app:x", "me/app:x"],
    ["localhost/app", "localhost/app", "localhost/app"],
    ["localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"],
    ["127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"],
    ["[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"],
    ["UPPER/app", "UPPER/app", "UPPER/app"],
    ["a__b/c--d_e.f", "docker.io/a__b/c--d_e.f", "a__b/c--d_e.f"],
    [`busybox@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`, `busybox@sha256:${hex}`],
    [`x.io/a:t@sha256:${hex}`, `x.io/a:t@sha256:${hex}`, `x.io/a:t@sha256:${hex}`],
    ["docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"],
  ])("%s", (text, full, familiar) => {
    const reference = parseReference(text);
    expect(referenceString(reference)).toBe(full);
    expect(familiarString(reference)).toBe(familiar);
  });

  it.each([
    ["", "invalid reference format"],
    [":x", "invalid reference format"],
    ["a b", "invalid reference format"],
    ["-a", "invalid reference format"],
    ["a..b", "invalid reference format"],
    ["a___b", "invalid reference format"],
    ["a/", "invalid reference format"],
    ["http://x/a", "invalid reference format"],
    ["x.io/a:", "invalid reference format"],
    [`a:${"t".repeat(129)}`, "invalid reference format"],
    [`a@sha256:${"0".repeat(20)}`, "invalid reference format"],
    ["Foo", "invalid reference format: repository name (library/Foo) must be lowercase"],
    ["x.io/Foo/bar:1", "invalid reference format: repository name (Foo/bar) must be lowercase"],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    [`a@sha256:${hex}0`, "invalid checksum digest length"],
    [`a@md5:${hex}`, "unsupported digest algorithm"],
    [`x.io/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
    ["a".repeat(100_000), "invalid reference format"],
  ])("refuses %s", (text, message) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ message, reason: "INVALID_ARGUMENT" }));
  });

  it("takes an id where one may stand", () => {
    expect(parseAnyReference(hex)).toEqual({ digest: `sha256:${hex}` });
    expect(familiarString(parseAnyReference(`sha256:${hex}`))).toBe(`sha256:${hex}`);
    expect(parseAnyReference("abc")).toEqual({ domain: "docker.io", path: "library/abc" });
  });

  it("adds latest only where nothing says more", () => {
    expect(familiarString(withDefaultTag(parseReference("a")))).toBe("a:latest");
    expect(familiarString(withDefaultTag(parseReference("a:1")))).toBe("a:1");
    expect(familiarString(withDefaultTag(parseReference(`a@sha256:${hex}`)))).toBe(`a@sha256:${hex}`);
    expect(familiarName(parseReference("a:1"))).toBe("a");
  });
});

describe("matchReference", () => {
  it.each([
    ["my-app", "my-app:1", true],
    ["my-*:1", "my-app:1", true],
    ["my[_\\-]app", "my-app:1", true],
    ["[a-c]-x", "b-x:1", true],
    ["[a-c]-x", "d-x:1", false],
    ["busybox", "busybox:1", true],
    ["busy*", "busybox:1", true],
    ["*:1", "busybox:1", true],
    ["*:2", "busybox:1", false],
    ["*", "me/app:1", false],
    ["*/*", "me/app:1", true],
    ["**/app", "me/app:1", true],
    ["b?sy[a-c]ox", "busybox:1", true],
    ["[^a]usybox", "busybox:1", true],
    ["b\\usybox", "busybox:1", true],
  ])("%s on %s", (pattern, text, want) => {
    expect(matchReference(pattern, parseReference(text))).toBe(want);
  });

  it.each(["[", "[]", "[a-", "a\\", "[-x]"])("refuses %s", (pattern) => {
    expect(() => matchReference(pattern, parseReference("a"))).toThrow("syntax error in pattern");
  });

  it("takes no longer for many stars", () => {
    const name = parseReference("a".repeat(120));
    const began = performance.now();
    expect(matchReference(`${"*a".repeat(100)}*b`, name)).toBe(false);
    expect(matchReference(`${"*a".repeat(100)}*`, name)).toBe(true);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
