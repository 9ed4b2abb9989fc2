import { spawn } from "node:child_process";
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  copyXattrs,
  getXattr,
  killPidfd,
  listenUnix,
  MS,
  mount,
  mountOverlay,
  openInRoot,
  parseMountInfo,
  pidfdOpen,
  pidfdWait,
  pipe,
  readMountInfo,
  readReport,
  removeTree,
  spawnDetached,
  statfs,
  syncfs,
  umount,
} from "../../ts/index.ts";
import { native } from "../../ts/native.ts";

let work: string;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "berth-addon-"));
});
afterAll(() => rmSync(work, { recursive: true }));
const shell = (script: string, fds: number[] = []) =>
  spawnDetached({ file: "/bin/sh", args: ["sh", "-c", script], env: { PATH: "/usr/bin:/bin" }, fds });

describe("the boundary", () => {
  test.each([
    [() => native.mount({} as never), "source must be a string"],
    [() => native.mount(null as never), "options must be an object"],
    [() => native.umount("/x\0y", 0), "argument 1 must not contain a NUL character"],
    [() => native.umount("/x", 1.5), "argument 2 must be an integer from 0 to 2147483647"],
    [() => native.listenUnix("/x", -1, 1), "argument 2 must be an integer from 0 to 511"],
    [
      () => native.spawnDetached({ file: "/x", args: ["x"], env: [1], fds: [], cgroup: null } as never),
      "env[0] must be a string",
    ],
    [
      () => native.spawnDetached({ file: "/x", args: [], env: [], fds: [], cgroup: "g" } as never),
      "options.cgroup must be null",
    ],
    [
      () =>
        new native.LayerApply({
          source: { kind: "x", path: null },
          target: "/",
          whiteouts: true,
          hashCompressed: true,
          maxBytes: 0,
          maxEntries: 1,
          sync: false,
          faithful: false,
          deferLinks: false,
        } as never),
      "options.source.kind must be file, follow or push",
    ],
    [() => new native.LayerDiff({ upper: "/", whiteouts: 1, gzip: false } as never), "gzip must be"],
  ])("wrong types are TypeErrors %#", (call, message) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message.startsWith("gzip") ? "whiteouts must be a boolean" : message);
  });

  test("a failed call says which one, on what, and why", async () => {
    await expect(umount(join(work, "nothing"))).rejects.toMatchObject({
      code: "ENOENT",
      errno: 2,
      syscall: "umount2",
      path: join(work, "nothing"),
    });
    expect(() => pidfdOpen(2 ** 22 + 5)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/ESRCH|EINVAL/), syscall: "pidfd_open" }),
    );
  });
});

describe("mounts", () => {
  test("made, listed with odd names, and gone", async () => {
    const target = join(work, "a b\\c");
    mkdirSync(target);
    await mount({ source: "none", target, type: "tmpfs", flags: MS.NODEV | MS.NOSUID, data: "size=64k" });
    const found = (await readMountInfo()).find((entry) => entry.target === target);
    expect(found).toMatchObject({
      type: "tmpfs",
      source: "none",
      options: expect.arrayContaining(["nodev", "nosuid"]),
    });
    expect((await statfs(target)).blocks).toBe(16);
    await syncfs(target);
    await umount(target);
    expect((await readMountInfo()).some((entry) => entry.target === target)).toBe(false);
  });

  test("mountinfo's optional fields", () => {
    const [entry] = parseMountInfo(
      "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n",
    );
    expect(entry).toEqual({
      id: 36,
      parent: 35,
      device: "98:0",
      root: "/mnt1",
      target: "/mnt 2",
      options: ["rw", "noatime"],
      optional: ["master:1", "shared:2"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    });
  });

  test("an overlay of 200 layers, relative to a base, is more than a page of options", async () => {
    const base = join(work, "layers-with-a-long-name-".repeat(4));
    const lower = Array.from({ length: 200 }, (_, i) => `${1000 + i}-${"x".repeat(30)}`);
    for (const name of [...lower, "upper", "work", "merged"]) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, lower[199] as string, "bottom"), "1");
    await mountOverlay({
      target: join(base, "merged"),
      lower,
      upper: "upper",
      work: "work",
      base,
      options: ["index=off"],
    });
    writeFileSync(join(base, "merged/new"), "2");
    expect(readdirSync(join(base, "merged")).sort()).toEqual(["bottom", "new"]);
    await umount(join(base, "merged"));
    expect(readdirSync(join(base, "upper"))).toEqual(["new"]);
    await expect(mountOverlay({ target: join(base, "merged"), lower: ["nothing"], base })).rejects.toMatchObject({
      code: "ENOENT",
    });
    await expect(
      mountOverlay({ target: join(base, "merged"), lower: [lower[0] as string], base, options: ["nonsense=1"] }),
    ).rejects.toMatchObject({ code: "EINVAL" });
  });
});

describe("files", () => {
  test("openInRoot stays in its root", async () => {
    const root = join(work, "root");
    mkdirSync(root);
    writeFileSync(join(root, "passwd"), "inside");
    symlinkSync("/etc", join(root, "out"));
    symlinkSync("../../../../../passwd", join(root, "up"));
    const fd = await openInRoot(root, "up");
    expect(readFileSync(fd, "utf8")).toBe("inside");
    closeSync(fd);
    await expect(openInRoot(root, "out/passwd")).rejects.toMatchObject({ code: "ENOENT", syscall: "openat2" });
  });

  test("attributes are copied; a tree goes without its links' targets", async () => {
    const tree = join(work, "tree");
    mkdirSync(join(tree, "deep/er"), { recursive: true });
    writeFileSync(join(work, "kept"), "1");
    symlinkSync(join(work, "kept"), join(tree, "deep/link"));
    symlinkSync(work, join(tree, "dirlink"));
    await shell(`python3 -c 'import os; os.setxattr("${tree}", "user.a", b"b")'`);
    await copyXattrs(tree, join(work, "kept"));
    expect(String(await getXattr(join(work, "kept"), "user.a"))).toBe("b");
    await removeTree(tree);
    await removeTree(tree);
    expect(readFileSync(join(work, "kept"), "utf8")).toBe("1");
  });

  test("a listening socket takes connections and bytes before anyone accepts", async () => {
    const path = join(work, "s.sock");
    const fd = listenUnix(path, 0o640);
    expect([lstatSync(path).mode & 0o777, fstatSync(fd).isSocket()]).toEqual([0o640, true]);
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    await new Promise((resolve) => socket.write("early", resolve));
    expect(() => listenUnix(path)).toThrow(expect.objectContaining({ code: "EADDRINUSE", syscall: "bind" }));
    socket.destroy();
    closeSync(fd);
  });
});

describe("processes", () => {
  test("a program gets its descriptors in order, /dev/null, and nothing else", async () => {
    const [read, write] = pipe();
    const [input, inputWrite] = pipe();
    const report = readReport(read, 5000);
    writeSync(inputWrite, "from three");
    closeSync(inputWrite);
    const script =
      'echo $(readlink /proc/$$/fd/0) $(ls /proc/$$/fd | tr "\\n" " ") $(cat <&3) $(grep SigIgn /proc/$$/status) >&4; exit 3';
    const { exitCode } = await shell(script, [input, write]);
    expect(exitCode).toBe(3);
    for (const fd of [write, input]) closeSync(fd);
    // 5 is the shell's own, of the command that is looking.
    expect(await report).toBe("/dev/null 0 1 2 3 4 5 from three SigIgn: 0000000000000000");
  });

  test("the whole report is read when it has no line end; a silent one times out; one can stop waiting", async () => {
    const [read, write] = pipe();
    writeSync(write, "no newline");
    closeSync(write);
    expect(await readReport(read, 1000)).toBe("no newline");
    const [silent, silentWrite] = pipe();
    await expect(readReport(silent, 30)).rejects.toMatchObject({ code: "ETIMEDOUT" });
    const [third, thirdWrite] = pipe();
    const controller = new AbortController();
    const waiting = readReport(third, -1, controller.signal);
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    for (const fd of [silentWrite, thirdWrite]) closeSync(fd);
  });

  test("what can't be started says so, with execve's errno", async () => {
    await expect(spawnDetached({ file: join(work, "none"), args: ["x"], env: {} })).rejects.toMatchObject({
      code: "ENOENT",
      syscall: "execve",
    });
    writeFileSync(join(work, "text"), "x", { mode: 0o755 });
    await expect(spawnDetached({ file: join(work, "text"), args: ["x"], env: {} })).rejects.toMatchObject({
      code: "ENOEXEC",
    });
    expect((await shell("kill -9 $$")).exitCode).toBe(137);
  });

  test("a grandchild outlives its starter, and is waited for and killed by descriptor", async () => {
    const [read, write] = pipe();
    const report = readReport(read, 5000);
    await shell("exec setsid sh -c 'sleep 1000 & echo $! >&3'", [write]);
    closeSync(write);
    const pidfd = pidfdOpen(Number(await report));
    const ended = pidfdWait(pidfd);
    killPidfd(pidfd, 9);
    await ended;
    closeSync(pidfd);
  });

  test("Node's own children are still reaped by Node", async () => {
    const child = spawn("sh", ["-c", "exit 7"]);
    const exit = new Promise((resolve) => child.once("exit", resolve));
    await shell("true");
    expect(await exit).toBe(7);
  });
});
