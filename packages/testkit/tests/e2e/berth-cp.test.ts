// berth cp: the project's own client, against docker's as far as both leave the same files behind.
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Bed, openBed } from "../../src/index.ts";

const main = join(import.meta.dirname, "../../../cli/src/main.ts");
let bed: Bed;
let work: string;
let id: string;

beforeAll(async () => {
  bed = await openBed();
  const busybox = await bed.push("busybox");
  await bed.docker.must(["pull", busybox]);
  work = mkdtempSync(join(tmpdir(), "berth-cp-"));
  const script =
    "mkdir -p /d/sub; echo one >/d/one; echo two >/d/sub/two; ln -s sub /d/link; ln -s /d /l; ln /d/one /d/hard; touch /ready; exec sleep 1000";
  id = (await bed.docker.must(["run", "-d", "--user", "0", busybox, "sh", "-c", script])).trim();
  await bed.docker.must([
    "exec",
    id,
    "sh",
    "-c",
    "while [ ! -e /ready ]; do :; done; chmod 750 /d/sub; chown 7:8 /d/one",
  ]);
}, 300_000);

afterAll(async () => {
  if (work !== undefined) rmSync(work, { recursive: true, force: true });
  await bed?.close();
}, 120_000);

const at = (...names: string[]) => join(work, ...names);
const env = () => ({ PATH: process.env["PATH"] ?? "", BERTH_HOST: `unix://${bed.docker.socket}` });
const cp = (args: string[], input?: Buffer) =>
  spawnSync(process.execPath, [main, "cp", ...args], { env: env(), cwd: work, input, maxBuffer: 2 ** 26 });
const good = (...args: string[]) => {
  const { status, stderr } = cp(args);
  expect([status, String(stderr)]).toEqual([0, expect.any(String)]);
};
const bad = (...args: string[]) => {
  const { status, stderr } = cp(args);
  expect(status).not.toBe(0);
  return String(stderr);
};
const inside = (script: string) => bed.docker.must(["exec", id, "sh", "-c", script]);

it("copies out as docker does", async () => {
  good(`${id}:/d`, at("ours"));
  await bed.docker.must(["cp", "-q", `${id}:/d`, at("theirs")]);
  execFileSync("diff", ["-r", "--no-dereference", at("ours"), at("theirs")]);
  expect(readlinkSync(at("ours/link"))).toBe("sub");
  expect(statSync(at("ours/one")).ino).toBe(statSync(at("ours/hard")).ino);
  expect(statSync(at("ours/sub")).mode & 0o777).toBe(0o750);
  expect(statSync(at("ours/one")).mtimeMs).toBe(statSync(at("theirs/one")).mtimeMs);
  expect(statSync(at("ours/one")).uid).toBe(0);
  good("-a", `${id}:/d/one`, "owned");
  expect([statSync(at("owned")).uid, statSync(at("owned")).gid]).toEqual([7, 8]);
  mkdirSync(at("dir"));
  good(`${id}:/d`, "dir");
  good(`${id}:/d/.`, "dir");
  expect(readdirSync(at("dir")).sort()).toEqual(["d", "hard", "link", "one", "sub"]);
  good(`${id}:/l`, "as-link");
  expect(lstatSync(at("as-link")).isSymbolicLink()).toBe(true);
  good("-L", `${id}:/l`, "followed");
  expect(readdirSync(at("followed"))).toContain("sub");
  expect(bad(`${id}:/d`, "owned")).toContain("cannot copy directory");
  expect(bad(`${id}:/d/one`, "missing/x")).toContain("does not exist");
  expect(bad(`${id}:/nothing`, ".")).toContain("Could not find the file /nothing in container");
  expect(bad("a", "b")).toContain("must specify at least one container source");
});

it("copies in as docker does, and both ways through pipes", async () => {
  mkdirSync(at("src/inner"), { recursive: true });
  writeFileSync(at("src/a"), "a");
  chmodSync(at("src/a"), 0o640);
  writeFileSync(at("src/inner/b"), Buffer.alloc(3_000_000, "b"));
  symlinkSync("a", at("src/to-a"));
  good("src", `${id}:/in`);
  await bed.docker.must(["cp", "-q", at("src"), `${id}:/in2`]);
  await inside("diff -r /in /in2 && [ $(readlink /in/to-a) = a ] && [ $(stat -c %a /in/a) = 640 ]");
  good("src", `${id}:/in`);
  good("src/.", `${id}:/in/inner`);
  await inside("[ -f /in/src/inner/b ] && [ -f /in/inner/inner/b ]");
  good("src/a", `${id}:/l/renamed`);
  good("src/a", `${id}:/l`);
  good("-L", "src/to-a", `${id}:/plain`);
  await inside("[ $(cat /d/renamed) = a ] && [ $(cat /d/a) = a ] && [ ! -L /plain ]");
  expect(bad("src", `${id}:/plain`)).toContain("cannot copy directory");
  expect(bad("src/a", `${id}:/none/x`)).toContain("Could not find the file /none in container");
  expect(bad("src/a", `${id}:/none/`)).toContain("destination directory must already exist");
  const { stdout, status } = cp([`${id}:/in`, "-"]);
  expect(status).toBe(0);
  await inside("mkdir /piped");
  expect(cp(["-", `${id}:/piped`], stdout).status).toBe(0);
  await inside("diff -r /in /piped/in");
  expect(String(cp(["-", `${id}:/plain`], stdout).stderr)).toContain("must be a directory");
});

it("lets no archive out of its directory", async () => {
  // A link in a container that means harm, and what would be written through it.
  await inside(`mkdir -p /evil && ln -s ${at("outside")} /evil/way`);
  mkdirSync(at("outside"));
  good(`${id}:/evil`, "caught");
  expect(readlinkSync(at("caught/way"))).toBe(at("outside"));
  await inside("rm /evil/way && mkdir /evil/way && echo x >/evil/way/file");
  expect(bad(`${id}:/evil/.`, "caught")).toContain("cannot overwrite non-directory");
  expect(existsSync(at("outside/file"))).toBe(false);
});
