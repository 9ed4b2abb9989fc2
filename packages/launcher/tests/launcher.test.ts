import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pauseBefore } from "../src/child.ts";
import { identify, isRunning, lockDirectory } from "../src/lock.ts";
import { LogDirectory } from "../src/logs.ts";
import { readOptions } from "../src/options.ts";
import { makeTar } from "../src/tar.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-launcher-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe("the pause before a restart", () => {
  it("grows with deaths in a row, for what has served to a second, so that nobody's call gives up meanwhile", () => {
    const pauses = (served: boolean) => [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => pauseBefore(failures, served));
    expect(pauses(true)).toEqual([0, 500, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
    expect(pauses(false)).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });
});

describe("options", () => {
  it("come from flags, then the environment, then defaults", () => {
    expect(readOptions([], {})).toMatchObject({
      root: "/var/lib/berth",
      runDir: "/run/berth",
      hosts: ["unix:///run/berth/berth.sock"],
      services: undefined,
    });
    const env = { BERTH_ROOT: "/a", BERTH_RUN_DIR: "/b", BERTH_HOST: "unix:///c.sock,tcp://127.0.0.1:2375" };
    expect(readOptions([], env)).toMatchObject({
      root: "/a",
      runDir: "/b",
      hosts: ["unix:///c.sock", "tcp://127.0.0.1:2375"],
    });
    const argv = [
      "--root=/x",
      "--run-dir",
      "/y",
      "--host",
      "unix:///z.sock",
      "--host=tcp://h:1",
      "--services",
      "gateway",
    ];
    expect(readOptions(argv, env)).toMatchObject({
      root: "/x",
      runDir: "/y",
      hosts: ["unix:///z.sock", "tcp://h:1"],
      services: ["gateway"],
    });
    expect(readOptions([], { BERTH_SERVICES: "snapshotter,supervisor" })?.services).toEqual([
      "snapshotter",
      "supervisor",
    ]);
    expect(readOptions(["--services", "gateway"], { BERTH_SERVICES: "supervisor" })?.services).toEqual(["gateway"]);
    expect(readOptions(["--help"], {})).toBeUndefined();
  });

  it.each([
    [["--colour"], "unknown option --colour"],
    [["--root"], "--root expects a value"],
    [["--host", "http://x"], "expected unix:///PATH or tcp://HOST:PORT"],
    [["--services", "gatway"], 'there is no service "gatway"'],
  ])("refuse %j", (argv, message) => {
    expect(() => readOptions(argv, {})).toThrow(message);
  });
});

describe("the lock", () => {
  it("keeps a second one out until it is released", () => {
    const lock = lockDirectory(dir);
    expect(() => lockDirectory(dir)).toThrow(`in use by another launcher (pid ${process.pid})`);
    lock.release();
    lockDirectory(dir).release();
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is not kept by the dead, nor by a stranger with a dead one's pid", () => {
    writeFileSync(join(dir, "launcher.pid"), "999999 1\n");
    lockDirectory(dir).release();
    writeFileSync(join(dir, "launcher.pid"), `${process.pid} 1\n`);
    lockDirectory(dir).release();
  });

  it("knows a process by more than its pid", async () => {
    const child = spawn("sleep", ["60"]);
    const identity = identify(child.pid ?? 0);
    expect(isRunning(identity)).toBe(true);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    expect(isRunning(identity)).toBe(false);
    expect(isRunning({ pid: process.pid, startTime: "1" })).toBe(false);
  });
});

it("archives are what tar expects", () => {
  const path = join(dir, "a.tar");
  const content = Buffer.from("x".repeat(1000));
  writeFileSync(
    path,
    makeTar([
      { name: "bin/hello", content, mode: 0o755 },
      { name: "empty", content: Buffer.alloc(0) },
    ]),
  );
  const listing = execFileSync("tar", ["-tvf", path], { encoding: "utf8" });
  expect(listing).toMatch(/^-rwxr-xr-x root\/root|^-rwxr-xr-x 0\/0/);
  execFileSync("tar", ["-xf", path, "-C", dir]);
  expect(readFileSync(join(dir, "bin/hello")).equals(content)).toBe(true);
  expect(statSync(join(dir, "empty")).size).toBe(0);
});

it("logs can be appended to and their end read", () => {
  const logs = new LogDirectory(join(dir, "logs"));
  writeFileSync(logs.open("a"), "one\ntwo\nthree\n");
  expect(logs.tail("a", 2)).toEqual(["two", "three"]);
  expect(logs.tail("nothing", 2)).toEqual([]);
  logs.close();
});
