// Files of containers by path: what is read and written, and that nothing outside can be reached.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  diffLayer,
  diskUsage,
  isNativeError,
  layerChanges,
  readTree,
  resolveDirectory,
  statPath,
  TreeWrite,
  type View,
} from "../../ts/index.ts";

let work: string;
const at = (...names: string[]) => join(work, ...names);

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "berth-trees-"));
  for (const path of ["below/etc", "below/gone", "upper", "work", "at", "volume", "outside"])
    mkdirSync(at(path), { recursive: true });
  writeFileSync(at("below/etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:44::/:/bin/sh\n");
  writeFileSync(at("volume/kept"), "kept");
  writeFileSync(at("outside/secret"), "TOP SECRET");
});

afterEach(() => {
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(work);
  rmSync(work, { recursive: true, force: true });
});

const overlay = (options: string[]) => [{ type: "overlay", source: "overlay", base: work, options }];
const plain = ["index=off", "redirect_dir=off", "metacopy=off"];

const readable = (
  binds: { source: string; destination: string; readOnly: boolean; recursive: boolean }[] = [],
): View => ({
  kind: "mounts",
  rootfs: overlay(["lowerdir=upper:below", `upperdir=${at("at/upper")}`, `workdir=${at("at/work")}`, ...plain]),
  binds,
  at: at("at"),
  throwaway: true,
});
const writable = (): View => ({
  kind: "mounts",
  rootfs: overlay(["lowerdir=below", "upperdir=upper", "workdir=work", ...plain]),
  binds: [],
  at: at("at"),
  throwaway: false,
});

async function archiveOf(view: View, path: string | null): Promise<Buffer> {
  const { pieces } = await readTree(view, path);
  const chunks: Buffer[] = [];
  for await (const piece of pieces) chunks.push(piece);
  return Buffer.concat(chunks);
}

const namesIn = (archive: Buffer): string[] =>
  execFileSync("tar", ["tPf", "-"], { input: archive }).toString().split("\n").filter(Boolean);

async function unpack(view: View, archive: Buffer, options: Partial<ConstructorParameters<typeof TreeWrite>[1]> = {}) {
  const write = new TreeWrite(view, { directory: "/", keepKind: false, user: null, inbox: null, ...options });
  await write.opened;
  await write.write(archive);
  await write.finish();
}

/** Of a directory that is made for it. */
function tarOf(make: (directory: string) => void, ...args: string[]): Buffer {
  const directory = mkdtempSync(join(work, "tar-"));
  make(directory);
  const archive = execFileSync("tar", ["cf", "-", "-C", directory, ...args, ...readdirSync(directory)]);
  rmSync(directory, { recursive: true });
  return archive;
}

const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => (isNativeError(error) ? { code: error.code, detail: error.detail } : error),
  );

describe("reading", () => {
  it("tells what is under a path, and where a link leads", async () => {
    symlinkSync("/etc/passwd", at("upper/link"));
    symlinkSync("missing/../here", at("upper/dangling"));
    expect(await statPath(readable(), "/link")).toMatchObject({ target: "/etc/passwd", size: 11 });
    expect(await statPath(readable(), "/dangling")).toMatchObject({ target: "/here" });
    expect((await statPath(readable(), "/etc/passwd")).mode & 0o170000).toBe(0o100000);
    expect(await failure(statPath(readable(), "/nothing"))).toMatchObject({ code: "ENOENT" });
    expect(await failure(statPath(readable(), "/etc/passwd/"))).toMatchObject({ code: "ENOTDIR" });
    symlinkSync("/loop", at("upper/loop"));
    expect(await failure(statPath(readable(), "/loop"))).toMatchObject({ code: "ELOOP" });
  });

  it("names members after the last part of the path", async () => {
    expect(namesIn(await archiveOf(readable(), "/etc"))).toEqual(["etc/", "etc/passwd"]);
    expect(namesIn(await archiveOf(readable(), "/etc/."))).toEqual(["./", "./passwd"]);
    expect(namesIn(await archiveOf(readable(), "/"))).toEqual(["/", "/etc/", "/etc/passwd", "/gone/"]);
    expect(namesIn(await archiveOf(readable(), "/etc/passwd"))).toEqual(["passwd"]);
    expect(namesIn(await archiveOf(readable(), null))).toEqual(["etc/", "etc/passwd", "gone/"]);
  });

  it("shows binds in their places, whose directories are not left behind", async () => {
    const bind = { source: at("volume"), destination: "/var/data", readOnly: true, recursive: true };
    expect(namesIn(await archiveOf(readable([bind]), "/var"))).toEqual(["var/", "var/data/", "var/data/kept"]);
    expect(existsSync(at("upper/var"))).toBe(false);
  });

  it("never leads outside, whatever links there are", async () => {
    symlinkSync(at("outside"), at("upper/absolute"));
    symlinkSync("../../../../../../../..", at("upper/up"));
    expect(await failure(statPath(readable(), "/absolute/secret"))).toMatchObject({ code: "ENOENT" });
    expect(await resolveDirectory(readable(), "/up/etc")).toBe("/etc");
    expect(await failure(statPath(readable(), "/up/proc/self/status"))).toMatchObject({ code: "ENOENT" });
    expect(await failure(statPath(readable(), "/../../etc/hostname"))).toMatchObject({ code: "ENOENT" });
  });

  it("keeps hard links, modes, owners, capabilities and long names; leaves out sockets", async () => {
    const long = "n".repeat(200);
    writeFileSync(at("upper", long), "x");
    linkSync(at("upper", long), at("upper/second"));
    chmodSync(at("upper", long), 0o4711);
    execFileSync("python3", [
      "-c",
      "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
      at("upper/s"),
    ]);
    const listing = execFileSync("tar", ["tvf", "-"], { input: await archiveOf(readable(), null) }).toString();
    expect(listing).toMatch(new RegExp(`-rws--x--x 0/0 +1 .* ${long}`));
    expect(listing).toMatch(new RegExp(`h.* second link to ${long}`));
    expect(listing).not.toMatch(/ s$/m);
  });

  it("stops with its reader", async () => {
    writeFileSync(at("upper/big"), Buffer.alloc(16 << 20));
    const { pieces } = await readTree(readable(), "/big");
    // The header, which does not wait for a piece to be full, and a piece.
    expect((await pieces.next()).value?.length).toBe(512);
    expect((await pieces.next()).value?.length).toBe(256 * 1024);
    await pieces.return();
  });
});

describe("writing", () => {
  it("unpacks what any of the usual programs packed", async () => {
    const archive = tarOf((directory) => writeFileSync(join(directory, "file"), "content"));
    const zstd = execFileSync("zstd", ["-qc"], { input: archive });
    const packed = [
      archive,
      gzipSync(archive),
      zstd,
      ...["bzip2", "xz"].map((name) => execFileSync(name, ["-c"], { input: archive })),
    ];
    for (const each of packed) {
      rmSync(at("upper/file"), { force: true });
      await unpack(writable(), each);
      expect(readFileSync(at("upper/file"), "utf8")).toBe("content");
    }
  });

  it("sets owner, mode and times, or the given user's", async () => {
    const archive = tarOf(
      (directory) => {
        mkdirSync(join(directory, "d"));
        writeFileSync(join(directory, "d/f"), "x");
        chmodSync(join(directory, "d/f"), 0o6755);
        symlinkSync("/anywhere", join(directory, "l"));
      },
      "--owner=7",
      "--group=8",
      "--mtime=@1000",
    );
    await unpack(writable(), archive);
    expect(lstatSync(at("upper/d/f"))).toMatchObject({ uid: 7, gid: 8, mode: 0o106755, mtimeMs: 1_000_000 });
    expect(lstatSync(at("upper/d"))).toMatchObject({ uid: 7, gid: 8, mtimeMs: 1_000_000 });
    expect(lstatSync(at("upper/l"))).toMatchObject({ uid: 7, gid: 8, mtimeMs: 1_000_000 });
    await unpack(writable(), archive, { user: "web" });
    expect(lstatSync(at("upper/d/f"))).toMatchObject({ uid: 33, gid: 44 });
    const unknown = failure(unpack(writable(), archive, { user: "nobody-here" }));
    expect(await unknown).toMatchObject({ code: "EINVAL" });
  });

  it("replaces what is there, but no kind by another if told so", async () => {
    mkdirSync(at("upper/x/deep"), { recursive: true });
    const file = tarOf((directory) => writeFileSync(join(directory, "x"), "file"));
    const kept = failure(unpack(writable(), file, { keepKind: true }));
    expect(await kept).toEqual({ code: "EEXIST", detail: 'cannot overwrite directory "x" with non-directory "/"' });
    await unpack(writable(), file);
    expect(readFileSync(at("upper/x"), "utf8")).toBe("file");
    const directory = tarOf((path) => mkdirSync(join(path, "x")));
    const other = failure(unpack(writable(), directory, { keepKind: true }));
    expect(await other).toEqual({ code: "EEXIST", detail: 'cannot overwrite non-directory "x" with directory "/"' });
  });

  it("writes through links as a process inside would, and never outside", async () => {
    symlinkSync(at("outside"), at("upper/away"));
    symlinkSync("../../../../../../..", at("upper/up"));
    const archive = tarOf((directory) => {
      mkdirSync(join(directory, "away"));
      writeFileSync(join(directory, "away/secret"), "changed");
    });
    // A directory takes the place of the link.
    await unpack(writable(), archive);
    expect(lstatSync(at("upper/away")).isDirectory()).toBe(true);
    const through = tarOf((directory) => {
      mkdirSync(join(directory, "up"));
      writeFileSync(join(directory, "up/inside"), "x");
    }, "--no-recursion");
    await unpack(writable(), through);
    expect(readFileSync(at("outside/secret"), "utf8")).toBe("TOP SECRET");
    for (const name of ["../evil", "a/../../evil"]) {
      const evil = tarOf((directory) => writeFileSync(join(directory, "f"), "x"), "-P", `--transform=s,^f$,${name},`);
      expect(await failure(unpack(writable(), evil))).toMatchObject({
        code: "EPERM",
        detail: `invalid entry name "${name}"`,
      });
    }
    expect(existsSync(at("evil"))).toBe(false);
  });

  it("says what is wrong with an archive", async () => {
    const archive = tarOf((directory) => writeFileSync(join(directory, "f"), Buffer.alloc(5000)));
    expect(await failure(unpack(writable(), archive.subarray(0, 3000)))).toMatchObject({ code: "EBADMSG" });
    expect(await failure(unpack(writable(), Buffer.alloc(1024, 7)))).toMatchObject({ code: "EBADMSG" });
    expect(await failure(unpack(writable(), gzipSync(archive).subarray(0, 40)))).toMatchObject({ code: "EBADMSG" });
    expect(await failure(unpack(writable(), Buffer.alloc(0)))).toBeUndefined();
  });
});

describe("a running container", () => {
  /** A root of its own with a tmpfs, and a process in it that does what `script` says. */
  async function container(script: string): Promise<{ view: View; stop: () => Promise<void> }> {
    const root = at("root");
    for (const path of ["bin", "proc", "tmp", "d"]) mkdirSync(join(root, path), { recursive: true });
    execFileSync("cp", ["/bin/busybox", join(root, "bin/busybox")]);
    const inside = `mount --bind ${root} ${root} && cd ${root} && mount -t proc proc proc && mount -t tmpfs tmpfs tmp &&
      mkdir old && pivot_root . old && exec /bin/busybox sh -c 'busybox umount -l /old; echo up; ${script}'`;
    const child = spawn("unshare", ["-m", "--propagation", "private", "sh", "-c", inside], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const view: View = { kind: "process", pid: child.pid as number, parentPid: process.pid };
    const stop = async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    };
    return { view, stop };
  }

  it("is seen with its mounts, the kernel's own file systems empty", async () => {
    const { view, stop } = await container("echo live > /tmp/file; echo ready; sleep 1000");
    try {
      await expect.poll(() => failure(statPath(view, "/tmp/file"))).toBeUndefined();
      expect(namesIn(await archiveOf(view, "/tmp"))).toEqual(["tmp/", "tmp/file"]);
      expect(namesIn(await archiveOf(view, "/proc"))).toEqual(["proc/"]);
      expect(await failure(statPath(view, "/proc/version"))).toMatchObject({ code: "ENOENT" });
      await unpack(
        view,
        tarOf((directory) => writeFileSync(join(directory, "new"), "x")),
        { directory: "/tmp" },
      );
      expect(namesIn(await archiveOf(view, "/tmp"))).toEqual(["tmp/", "tmp/file", "tmp/new"]);
      const overMount = tarOf((directory) => writeFileSync(join(directory, "tmp"), "x"));
      expect(await failure(unpack(view, overMount))).toMatchObject({ code: "EBUSY" });
      expect(namesIn(await archiveOf(view, "/tmp"))).toEqual(["tmp/", "tmp/file", "tmp/new"]);
      await unpack(
        view,
        tarOf((directory) => {
          mkdirSync(join(directory, "proc"));
          writeFileSync(join(directory, "proc/version"), "x");
        }),
      );
    } finally {
      await stop();
    }
    expect(await failure(statPath(view, "/"))).toMatchObject({ code: "ESRCH" });
  });

  it("of another parent is none of ours", async () => {
    const { view, stop } = await container("sleep 1000");
    try {
      expect(await failure(statPath({ ...view, parentPid: 1 } as View, "/"))).toMatchObject({ code: "ESRCH" });
    } finally {
      await stop();
    }
  });

  it("that swaps directories for links gets nobody to write or read outside", async () => {
    const target = at("outside");
    const { view, stop } = await container(
      `while :; do busybox mv /d /e; busybox ln -s ${target} /d; busybox rm -f /d; busybox mv /e /d; done`,
    );
    const archive = tarOf((directory) => {
      mkdirSync(join(directory, "d"));
      for (const name of ["secret", "a", "b"]) writeFileSync(join(directory, "d", name), "changed");
      execFileSync("mkfifo", [join(directory, "d/fifo")]);
    });
    try {
      for (let round = 0; round < 60; round++) {
        await failure(unpack(view, archive));
        const read = await archiveOf(view, "/d").catch(() => Buffer.alloc(0));
        expect(read.includes("TOP SECRET")).toBe(false);
        await failure(statPath(view, "/d/secret"));
      }
    } finally {
      await stop();
    }
    expect(readFileSync(at("outside/secret"), "utf8")).toBe("TOP SECRET");
    expect(readdirSync(at("outside"))).toEqual(["secret"]);
  });
});

describe("changes of a layer", () => {
  const changes = (ignored: string[] = []) =>
    layerChanges({ upper: at("upper"), lower: [at("below")], ignored }).then((list) =>
      list.map(({ kind, path }) => `${"CAD"[kind]} ${path}`),
    );

  it("tells what was added, modified and deleted, and the directories above", async () => {
    mkdirSync(at("upper/etc"));
    writeFileSync(at("upper/etc/passwd"), "other");
    writeFileSync(at("upper/etc/new"), "");
    mkdirSync(at("upper/a/b"), { recursive: true });
    execFileSync("mknod", [at("upper/gone"), "c", "0", "0"]);
    expect(await changes()).toEqual(["A /a", "A /a/b", "C /etc", "A /etc/new", "C /etc/passwd", "D /gone"]);
  });

  it("leaves out what only passed by", async () => {
    mkdirSync(at("upper/etc"));
    mkdirSync(at("upper/proc"));
    writeFileSync(at("upper/etc/hosts"), "");
    execFileSync("mknod", [at("upper/never"), "c", "0", "0"]);
    expect(await changes(["proc", "etc/hosts"])).toEqual([]);
    const stream = diffLayer({
      upper: at("upper"),
      lower: [at("below")],
      ignored: ["proc", "etc/hosts", "never"],
      live: true,
    });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(namesIn(Buffer.concat(chunks))).toEqual([".wh.never"]);
    writeFileSync(at("upper/etc/hosts"), "written");
    expect(await changes(["proc", "etc/hosts"])).toEqual(["C /etc", "A /etc/hosts"]);
  });

  it("tells all that an opaque directory hides", async () => {
    mkdirSync(at("upper/etc"));
    execFileSync("python3", [
      "-c",
      `import os; os.setxattr(${JSON.stringify(at("upper/etc"))}, "trusted.overlay.opaque", b"y")`,
    ]);
    writeFileSync(at("upper/etc/x"), "");
    expect(await changes()).toEqual(["C /etc", "D /etc/passwd", "A /etc/x"]);
  });

  it("is not led astray by depth", async () => {
    // Deeper than any path can name: made step by step, as a container can.
    const steps = `import os,sys\nos.chdir(sys.argv[1])\nfor i in range(600):\n  os.mkdir("d" * 20)\n  os.chdir("d" * 20)`;
    execFileSync("python3", ["-c", steps, at("upper")]);
    const list = await changes();
    expect(list.length).toBeGreaterThan(100);
    expect(namesIn(await archiveOf(readable(), null)).length).toBeGreaterThan(100);
    expect((await diskUsage(at("upper"))).inodes).toBe(601);
    execFileSync("rm", ["-rf", at("upper")]);
  });
});

it("counts the sizes of files, holes included and links once", async () => {
  execFileSync("truncate", ["-s", "1M", at("upper/hole")]);
  linkSync(at("upper/hole"), at("upper/same"));
  symlinkSync("12345", at("upper/link"));
  const usage = await diskUsage(at("upper"));
  expect(usage.fileBytes).toBe((1 << 20) + 5);
  expect(usage.bytes).toBeLessThan(1 << 20);
  expect(readlinkSync(at("upper/link"))).toBe("12345");
  renameSync(at("upper/hole"), at("upper/moved"));
});
