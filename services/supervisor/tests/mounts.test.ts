// What Docker 28.5 answers to the same mounts: texts and reasons were taken from its own answers.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostConfig, MountSpec } from "../src/domain/model.ts";
import { checkRecursion, checkVolumesFrom, type MountRequest, parseRequests } from "../src/domain/mounts/requests.ts";
import { checkSources, checkSubpath, propagationOf } from "../src/domain/mounts/sources.ts";
import { parseMountWords } from "../src/domain/volumes/mount-words.ts";
import { checkOptions, checkVolumeName } from "../src/domain/volumes/options.ts";
import { makeMount, makeSpec } from "./support.ts";

const requests = (host: Partial<Omit<HostConfig, "resources">>): MountRequest[] =>
  parseRequests(makeSpec(host).hostConfig);
const bind = (text: string, volumeDriver = "") => requests({ binds: [text], volumeDriver })[0];

/** [reason, message] of what is thrown. */
function refusal(work: () => unknown): [string, string] {
  try {
    work();
  } catch (error) {
    const { reason, message } = error as { reason: string; message: string };
    return [reason, message];
  }
  return ["", "not refused"];
}

const anonymous: Partial<MountRequest> = { kind: "volume", source: "" };

describe("-v", () => {
  const good: [string, Partial<MountRequest>][] = [
    ["/tmp", { ...anonymous, destination: "/tmp", fromConfig: false }],
    ["/tmp:/x:", { kind: "bind", source: "/tmp", destination: "/x", createSource: true, recursive: true }],
    ["/tmp/:/x/:ro", { source: "/tmp", destination: "/x", readOnly: true, mode: "ro" }],
    ["vol:/x:nocopy", { kind: "volume", source: "vol", noCopy: true, mode: "nocopy" }],
    ["vol:/x:ro,z,cached", { kind: "volume", readOnly: true }],
    ["vol:/x\\y", { kind: "volume", destination: "/x\\y" }],
    ["/tmp://x//y/../z", { kind: "bind", destination: "/x/z" }],
    ["/tmp:/x:rslave", { propagation: "rslave" }],
    ["a/b:/c", { kind: "volume", source: "a/b" }],
  ];
  test.each(good)("%s", (text, expected) => {
    expect(bind(text)).toMatchObject(expected);
  });

  test("a volume takes the container's volume driver, a bind does not", () => {
    expect(bind("vol:/x", "flocker")?.driver).toBe("flocker");
    expect(bind("/vol:/x", "flocker")?.driver).toBe("");
  });

  const spec = (text: string) => `invalid volume specification: '${text}'`;
  const config = (text: string, type: string, why: string) =>
    `${spec(text)}: invalid mount config for type "${type}": ${why}`;
  const bad: [string, string][] = [
    ["", spec("")],
    [":", spec(":")],
    ["::", spec("::")],
    ["/a:/b:/c:/d", spec("/a:/b:/c:/d")],
    ["/tmp:", spec("/tmp:")],
    [":/x", spec(":/x")],
    ["/x:ro", spec("/x:ro")],
    ["vol:ro", spec("vol:ro")],
    ["foo", config("foo", "volume", "invalid mount path: 'foo' mount path must be absolute")],
    ["/tmp:x", config("/tmp:x", "bind", "invalid mount path: 'x' mount path must be absolute")],
    ["/tmp:/", config("/tmp:/", "bind", "invalid specification: destination can't be '/'")],
    ["vol:/", config("vol:/", "volume", "invalid specification: destination can't be '/'")],
    ["/tmp:/x:bad", "invalid mode: bad"],
    ["/tmp:/x:ro,rw", "invalid mode: ro,rw"],
    ["/tmp:/x:ro,ro", "invalid mode: ro,ro"],
    ["/tmp:/x:z,Z", "invalid mode: z,Z"],
    ["/tmp:/x:,", "invalid mode: ,"],
    ["vol:/x:default", "invalid mode: default"],
    ["/x:/y:private,shared", "invalid mode: private,shared"],
    ["C:\\x:/y", "invalid mode: /y"],
    ["/tmp:/x:nocopy", config("/tmp:/x:nocopy", "bind", "field VolumeOptions must not be specified")],
    ["vol:/x:rshared", config("vol:/x:rshared", "volume", "field BindOptions must not be specified")],
  ];
  test.each(bad)("%j is refused", (text, message) => {
    // Docker answers these with 500.
    expect(refusal(() => bind(text))).toEqual(["INTERNAL", message]);
  });
});

describe("--mount", () => {
  const volume = (change: Partial<MountSpec>) => makeMount({ type: "volume", target: "/x", ...change });
  const cases: [Partial<MountSpec>, string][] = [
    [{ type: "" }, "field Target must not be empty"],
    [{ target: "/" }, "invalid specification: destination can't be '/'"],
    [{ target: "/../" }, "invalid specification: destination can't be '/'"],
    [{ target: "x" }, "invalid mount path: 'x' mount path must be absolute"],
    [{ target: "/x" }, "field Source must not be empty"],
    [{ target: "/x", source: "rel" }, "invalid mount path: 'rel' mount path must be absolute"],
    [{ target: "/x", source: "/tmp", propagation: "bad" }, "invalid propagation mode: bad"],
    [volume({ readOnly: true }), "must not set ReadOnly mode when using anonymous volumes"],
    [volume({ subpath: "a" }), "must not set Subpath when using anonymous volumes"],
    [volume({ source: "v", subpath: "../a" }), "subpath must be a relative path within the volume"],
    [volume({ source: "v", subpath: "a/../../b" }), "subpath must be a relative path within the volume"],
    [volume({ source: "v", subpath: "/a" }), "subpath must be a relative path within the volume"],
    [{ type: "tmpfs", target: "/x", source: "a" }, "field Source must not be specified"],
    [{ type: "tmpfs", target: "/x", tmpfsFlags: ["bad"] }, "invalid option: bad"],
    [{ type: "image", target: "/x" }, "field Source must not be empty"],
    [
      { type: "image", target: "/x", source: "i", subpath: "../x" },
      "subpath must be a relative path within the volume",
    ],
    [{ type: "npipe", target: "/x" }, "mount type unknown"],
    [{ type: "cluster", target: "/x" }, "mount type unknown"],
  ];
  test.each(cases)("%j is refused", (change, why) => {
    const mount = makeMount(change);
    expect(refusal(() => requests({ mounts: [mount] }))).toEqual([
      "INVALID_ARGUMENT",
      `invalid mount config for type "${mount.type}": ${why}`,
    ]);
  });

  test("tmpfs sizes in the largest unit that fits", () => {
    const options = (change: Partial<MountSpec>) =>
      requests({ mounts: [makeMount({ type: "tmpfs", target: "/x", ...change })] })[0]?.tmpfsOptions;
    expect(options({ tmpfsSize: 5 << 20, tmpfsMode: 0o700 })).toEqual(["mode=700", "size=5m"]);
    expect(options({ tmpfsSize: 2 ** 31, readOnly: true })).toEqual(["ro", "size=2g"]);
    expect(options({ tmpfsSize: 1025, tmpfsFlags: ["exec"] })).toEqual(["size=1025", "exec"]);
    expect(options({ tmpfsSize: -5 })).toEqual(["size=-5"]);
  });

  test("recursion of read-only binds", () => {
    const refused = (change: Partial<MountSpec>) => refusal(() => checkRecursion([makeMount(change)]))[1];
    expect(refused({ readOnlyNonRecursive: true })).toBe(
      "mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive",
    );
    expect(refused({ readOnlyForceRecursive: true })).toBe(
      "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive",
    );
    expect(refused({ readOnly: true, readOnlyForceRecursive: true, readOnlyNonRecursive: true })).toBe(
      "mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive",
    );
    expect(refused({ readOnly: true, readOnlyForceRecursive: true })).toBe("not refused");
  });
});

test("two mounts at one place", () => {
  const twice = (host: Parameters<typeof requests>[0]) => refusal(() => requests(host));
  const duplicate = ["INVALID_ARGUMENT", "Duplicate mount point: /x"];
  const tmp = makeMount({ source: "/tmp", target: "/x" });
  expect(twice({ binds: ["/tmp:/x", "/var:/x"] })).toEqual(duplicate);
  expect(twice({ binds: ["/tmp:/x"], mounts: [tmp] })).toEqual(duplicate);
  expect(twice({ mounts: [{ ...tmp, target: "/x/" }, tmp] })).toEqual(duplicate);
  expect(twice({ binds: ["/tmp:/x"], tmpfs: { "/x": "" } })).toEqual(duplicate);
  expect(requests({ mounts: [tmp], tmpfs: { "/x": "" } })).toHaveLength(1);
  expect(twice({ tmpfs: { "/../": "" } })[1]).toBe("invalid specification: destination can't be '/'");
  expect(twice({ tmpfs: { "": "" } })[1]).toBe("invalid mount path: '' mount path must be absolute");
});

test("--volumes-from", () => {
  expect(checkVolumesFrom("c")).toEqual({ container: "c", readOnly: false });
  expect(checkVolumesFrom("c:ro,z")).toEqual({ container: "c", readOnly: true });
  const refused = (text: string) => refusal(() => checkVolumesFrom(text))[1];
  expect(refused("")).toBe("volumes-from specification cannot be an empty string");
  expect(refused(":ro")).toBe('invalid name or ID supplied: ""');
  for (const mode of ["bad", "shared", "nocopy", "ro:x"]) expect(refused(`c:${mode}`)).toBe(`invalid mode: ${mode}`);
});

test("binds around the engine's own directory must not keep its mounts", () => {
  const word = (source: string, propagation = "") =>
    propagationOf(
      requests({ mounts: [makeMount({ source, target: "/x", propagation })] })[0] as MountRequest,
      "/var/lib/berth",
    );
  expect(word("/srv")).toBe("rprivate");
  expect(word("/srv", "shared")).toBe("shared");
  expect(word("/")).toBe("rslave");
  expect(word("/var/lib/berth/volumes")).toBe("rslave");
  expect(word("/var/lib/berth", "rshared")).toBe("rshared");
  for (const propagation of ["private", "rprivate", "slave", "shared"]) {
    expect(refusal(() => word("/var/lib/berth/volumes", propagation))[1]).toBe(
      'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, ' +
        `daemon root: "/var/lib/berth", bind mount source: "/var/lib/berth/volumes", propagation: "${propagation}"`,
    );
  }
});

describe("on the disk", () => {
  let work = "";
  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), "mounts-"));
    await mkdir(join(work, "v/subdir"), { recursive: true });
    await writeFile(join(work, "v/bar.txt"), "foo");
    await symlink("/", join(work, "v/root"));
    await symlink("subdir", join(work, "v/good"));
    await symlink("root", join(work, "v/bad"));
  });
  afterAll(() => rm(work, { recursive: true }));

  test("subpaths stay in their volume", async () => {
    const base = join(work, "v");
    for (const good of ["subdir", "good", "bar.txt", "subdir/../good"]) await checkSubpath(base, good);
    await expect(checkSubpath(base, "nope")).rejects.toMatchObject({
      reason: "NO_SUCH_VOLUME",
      message: `cannot access path ${base}/nope: lstat ${base}/nope: no such file or directory`,
    });
    for (const bad of ["root", "bad", "root/etc"]) {
      await expect(checkSubpath(base, bad)).rejects.toMatchObject({
        reason: "INVALID_ARGUMENT",
        message: `path concatenation escapes the base directory, base: ${base}, subpath: ${bad}`,
      });
    }
  });

  test("sources of --mount must be there, unless they are to be made", async () => {
    const source = join(work, "missing");
    const ask = (change: Partial<MountSpec>) =>
      checkSources(requests({ mounts: [makeMount({ source, target: "/x", ...change })] }));
    await expect(ask({})).rejects.toThrow(
      `invalid mount config for type "bind": bind source path does not exist: ${source}`,
    );
    await ask({ createMountpoint: true });
    await checkSources(requests({ binds: [`${source}:/x`] }));
  });
});

describe("volumes of the local driver", () => {
  const options: [Record<string, string>, string][] = [
    [{ foo: "x" }, 'invalid option: "foo"'],
    [{ type: "tmpfs" }, 'missing required option: "device"'],
    [{ device: "tmpfs" }, 'missing required option: "type"'],
    [{ o: "x" }, 'missing required option: "device"'],
    [{ size: "10m" }, "quota size requested but no quota support"],
    [{ size: "abc" }, "invalid size: 'abc'"],
    [{ type: "cifs", device: "//h:80/x" }, "port not allowed in CIFS device URL, include 'port' in 'o='"],
  ];
  test.each(options)("%j is refused", (given, message) => {
    expect(refusal(() => checkOptions(given))).toEqual(["INVALID_ARGUMENT", message]);
  });

  test("options that are taken", () => {
    checkOptions({});
    checkOptions({ size: "0" });
    checkOptions({ type: "nfs", device: ":/x", o: "addr=10.0.0.1,rw" });
    checkOptions({ type: "cifs", device: "//h/x" });
  });

  test("names", () => {
    for (const name of ["ab", "a.b-c_d", "0x"]) checkVolumeName(name);
    expect(refusal(() => checkVolumeName("a"))[1]).toBe(
      "volume name is too short, names should be at least two alphanumeric characters",
    );
    for (const name of ["../x", "x/y", " ab", "-ab", ".ab", "a b", "ä1"]) {
      expect(refusal(() => checkVolumeName(name))[1]).toBe(
        `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. ` +
          "If you intended to pass a host directory, use absolute path",
      );
    }
  });

  test("words of fstab", () => {
    expect(parseMountWords("bind")).toEqual({ flags: 0x1000, data: "" });
    expect(parseMountWords("rbind,ro,size=1m,uid=5")).toEqual({ flags: 0x5001, data: "size=1m,uid=5" });
    expect(parseMountWords("ro,rw,,nosuid")).toEqual({ flags: 2, data: "" });
    expect(parseMountWords("constructor")).toEqual({ flags: 0, data: "constructor" });
  });
});
