import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@berth/log";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSupervisorConfig, runtimeOptions } from "../src/config.ts";
import { Runtimes } from "../src/domain/runtimes.ts";

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "berth-runtimes-"));
});
afterAll(() => rm(work, { recursive: true, force: true }));

const log = createLogger({ service: "test", level: "silent" });
const optionsOf = (env: Record<string, string>) =>
  runtimeOptions(
    readSupervisorConfig({
      env: { BERTH_ROOT: join(work, "root"), BERTH_RUN_DIR: join(work, "run"), ...env },
      argv: [],
    }),
  );
const runtimesOf = (env: Record<string, string> = {}, searchPath: string[] = []) =>
  new Runtimes({ ...optionsOf(env), searchPath, log });

test("without configuration there is our own, by the names that Docker's clients know", async () => {
  const runtimes = runtimesOf();
  expect(runtimes.defaultName).toBe("runc");
  for (const name of ["runc", "io.containerd.runc.v2", "berth"]) expect(await runtimes.find(name)).toBeNull();
  expect((await runtimes.list()).map(({ name }) => name)).toEqual(["runc", "io.containerd.runc.v2", "berth"]);
  await expect(runtimes.find("crun")).rejects.toThrow("unknown or invalid runtime name: crun");
  for (const name of ["", "/usr/bin/crun", "a/b.c", ".x"])
    await expect(runtimes.find(name)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
});

test("what may be a shim is missed at the start only", async () => {
  const runtimes = runtimesOf();
  expect(await runtimes.find("io.containerd.kata.v2")).toBeNull();
  await expect(runtimes.find("io.containerd.kata.v2", true)).rejects.toThrow(
    'runtime "io.containerd.kata.v2" binary not installed "containerd-shim-kata-v2": file does not exist',
  );
});

test("crun is found on PATH by its name, once it is there", async () => {
  const directory = join(work, "bin");
  await mkdir(directory);
  const runtimes = runtimesOf({}, ["/nonexistent", directory]);
  await expect(runtimes.find("crun")).rejects.toThrow("unknown or invalid runtime name: crun");
  await writeFile(join(directory, "crun"), "");
  await expect(runtimes.find("crun")).rejects.toThrow("unknown or invalid runtime name: crun");
  await chmod(join(directory, "crun"), 0o755);
  const root = join(work, "run/runtimes/crun");
  expect(await runtimes.find("crun")).toEqual({ path: join(directory, "crun"), args: [], root });
});

test("the operator's runtimes, with arguments; one called runc takes our own's place, but not its own name", async () => {
  const BERTH_RUNTIMES = "a=/opt/a, b=/opt/b --flag  x,runc=/usr/sbin/runc";
  const runtimes = runtimesOf({ BERTH_RUNTIMES, BERTH_DEFAULT_RUNTIME: "b" });
  expect(runtimes.defaultName).toBe("b");
  expect(await runtimes.find("a")).toMatchObject({ path: "/opt/a", args: [] });
  expect(await runtimes.find("b")).toMatchObject({ path: "/opt/b", args: ["--flag", "x"] });
  expect(await runtimes.find("runc")).toMatchObject({ path: "/usr/sbin/runc" });
  expect(await runtimes.find("io.containerd.runc.v2")).toMatchObject({ path: "/usr/sbin/runc" });
  expect(await runtimes.find("berth")).toBeNull();
});

test("what runtimes say of themselves, asked once", async () => {
  const count = join(work, "asked");
  const talker = join(work, "talker");
  await writeFile(talker, `#!/bin/sh\necho x >> ${count}\n[ "$1 $2" = "--x features" ] && echo '{ "hooks": [] }'\n`);
  const mute = join(work, "mute");
  await writeFile(mute, "#!/bin/sh\necho no such command\nexit 1\n");
  const slow = join(work, "slow");
  await writeFile(slow, "#!/bin/sh\nexec sleep 4\n");
  for (const path of [talker, mute, slow]) await chmod(path, 0o755);
  const runtimes = runtimesOf({ BERTH_RUNTIMES: `talker=${talker} --x,mute=${mute},gone=/nonexistent,slow=${slow}` });
  for (let times = 0; times < 2; times++) {
    const features = new Map((await runtimes.list()).map((one) => [one.name, one.features]));
    expect(["talker", "mute", "gone", "slow"].map((name) => features.get(name))).toEqual(['{"hooks":[]}', "", "", ""]);
    expect(JSON.parse(features.get("runc") ?? "")).toMatchObject({ ociVersionMin: "1.0.0" });
  }
  expect(await readFile(count, "utf8")).toBe("x\n");
});

test.each([
  ["a", "expected NAME=/PATH"],
  ["a=b", "expected NAME=/PATH"],
  ["../a=/b", "expected NAME=/PATH"],
  ["=/b", "expected NAME=/PATH"],
  ["berth=/b", "berth is the name of the engine's own"],
])("BERTH_RUNTIMES=%s is refused at start", (text, why) => {
  expect(() => optionsOf({ BERTH_RUNTIMES: text })).toThrow(`BERTH_RUNTIMES: "${text}" is not valid, ${why}`);
});

test("what a runtime still has of a container is deleted by it; of one that is no longer configured, without it", async () => {
  const said = join(work, "said");
  const program = join(work, "runtime");
  await writeFile(program, `#!/bin/sh\necho "$@" >> ${said}\n`);
  await chmod(program, 0o755);
  const runtimes = runtimesOf({ BERTH_RUNTIMES: `mine=${program} --x` });
  const { directory } = optionsOf({});
  for (const path of ["mine/live", "mine/dead", "gone/dead2"]) await mkdir(join(directory, path), { recursive: true });
  await runtimes.sweep(
    (id) => id === "live",
    (id) => `/berth-runtimes-test/${id}`,
  );
  expect(await readdir(join(directory, "mine"))).toEqual(["live"]);
  expect(await readdir(join(directory, "gone"))).toEqual([]);
  expect(await readFile(said, "utf8")).toBe(`--x --root ${directory}/mine delete --force dead\n`);
  await runtimes.forget("mine", "unknown", "/berth-runtimes-test/unknown");
  await runtimes.forget("runc", "live", "/berth-runtimes-test/live");
  expect(await readdir(join(directory, "mine"))).toEqual(["live"]);
});
