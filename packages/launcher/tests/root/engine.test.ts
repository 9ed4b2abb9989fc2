import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isServing } from "../../src/health.ts";
import { type RunningEngine, startEngine } from "../../src/index.ts";
import { identify, isRunning } from "../../src/lock.ts";
import { mainOf, projectDir } from "../../src/services.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-engine-"));
// Two services suffice for what the launcher does, and need no network namespace.
const options = { root: join(dir, "root"), runDir: join(dir, "run"), services: ["image-store", "registry-proxy"] };
let engine: RunningEngine;

beforeAll(async () => {
  engine = await startEngine(options);
});
afterAll(async () => {
  await engine.stop();
  rmSync(dir, { recursive: true });
});

async function gone(pid: number): Promise<boolean> {
  const identity = identify(pid);
  await expect.poll(() => isRunning(identity), { timeout: 15_000 }).toBe(false);
  return true;
}

describe("an engine", () => {
  it("serves with every service in a process of its own", async () => {
    const pids = ["nats", "image-store", "registry-proxy"].map((name) => engine.pidOf(name));
    expect(new Set([engine.pid, ...pids]).size).toBe(4);
    expect(await isServing(join(options.runDir, "image-store.sock"))).toBe(true);
    expect(() => engine.pidOf("gateway")).toThrow("no gateway runs");
  });

  it.each(["image-store", "registry-proxy", "nats"])("has %s back after its death", async (service) => {
    const before = engine.pidOf(service);
    engine.kill(service);
    await expect.poll(() => engine.pidOf(service), { interval: 10, timeout: 10_000 }).not.toBe(before);
    await engine.healthy(service);
  });

  it("restarts what dies again and again with pauses, and counts anew after a quiet time", async () => {
    const pids = new Set<number>();
    for (let round = 0; round < 3; round++) {
      const pid = engine.pidOf("registry-proxy");
      pids.add(pid);
      engine.kill("registry-proxy");
      await expect.poll(() => engine.pidOf("registry-proxy"), { timeout: 5_000, interval: 10 }).not.toBe(pid);
    }
    expect(pids.size).toBe(3);
    await engine.healthy("registry-proxy");
  });

  it("keeps its directories to itself", async () => {
    await expect(startEngine(options)).rejects.toThrow(`in use by another launcher (pid ${engine.pid})`);
    await expect(startEngine({ ...options, root: join(dir, "other") })).rejects.toThrow(`${options.runDir} is in use`);
    await engine.healthy("image-store");
  });

  it("starts every service anew on SIGUSR2, one after the other, and leaves NATS alone", async () => {
    const names = ["nats", "image-store", "registry-proxy"];
    const before = names.map((name) => engine.pidOf(name));
    process.kill(engine.pid, "SIGUSR2");
    const replaced = () => names.map((name, index) => engine.pidOf(name) !== before[index]);
    await expect.poll(replaced, { timeout: 20_000 }).toEqual([false, true, true]);
    await engine.healthy("image-store");
    await engine.healthy("registry-proxy");
  });

  it("writes the services' logs to files", () => {
    const log = readFileSync(join(options.root, "logs/image-store.log"), "utf8");
    expect(log).toContain('"msg":"serving"');
  });

  it("has a service end that can't start, though it has a connection to NATS by then", async () => {
    // Its records are in use by the one that runs.
    const env = {
      ...process.env,
      BERTH_ROOT: options.root,
      BERTH_RUN_DIR: join(dir, "second-run"),
      BERTH_NATS_URL: `nats://127.0.0.1:${readFileSync(join(options.root, "nats/port"), "utf8").trim()}`,
      BERTH_NATS_USER: "berth",
      BERTH_NATS_PASSWORD_FILE: join(options.root, "nats/password"),
    };
    const second = promisify(execFile)(process.execPath, [mainOf("image-store")], { env, timeout: 15_000 });
    await expect(second).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is in use by another process"),
    });
  });

  it("leaves no process when its launcher is killed, and starts again with the same state", async () => {
    const pids = ["nats", "image-store", "registry-proxy"].map((name) => engine.pidOf(name));
    const port = readFileSync(join(options.root, "nats/port"), "utf8");
    process.kill(engine.pid, "SIGKILL");
    for (const pid of [engine.pid, ...pids]) await gone(pid);
    engine = await startEngine(options);
    expect(readFileSync(join(options.root, "nats/port"), "utf8")).toBe(port);
  });

  it("stops every process, and can be started again", async () => {
    const pids = ["nats", "image-store", "registry-proxy"].map((name) => engine.pidOf(name));
    const began = performance.now();
    await engine.stop();
    expect(performance.now() - began).toBeLessThan(5_000);
    for (const pid of pids) await gone(pid);
    engine = await startEngine(options);
  });
});

describe("the launcher's program", () => {
  const launch = (...args: string[]) =>
    promisify(execFile)(process.execPath, [join(projectDir, "packages/launcher/dist/main.js"), ...args], {
      timeout: 30_000,
    });

  it("prints its help", async () => {
    expect((await launch("--help")).stdout).toContain("--run-dir DIR");
  });

  it("says what is wrong, and ends with 1", async () => {
    await expect(launch("--colour")).rejects.toMatchObject({
      code: 1,
      stderr: "berth: unknown option --colour; --help lists them\n",
    });
    await expect(
      launch("--root", "/proc/x", "--run-dir", join(dir, "r2"), "--services", "image-store"),
    ).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("cannot make /proc/x"),
    });
  });

  it("ends with the log's last words when a service cannot start", async () => {
    const args = ["--root", join(dir, "bad"), "--run-dir", join(dir, "bad-run"), "--services", "image-store"];
    const env = { ...process.env, BERTH_IMAGE_STORE_COLOUR: "red" };
    const main = join(projectDir, "packages/launcher/dist/main.js");
    const run = promisify(execFile)(process.execPath, [main, ...args], { timeout: 30_000, env });
    await expect(run).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("unknown setting BERTH_IMAGE_STORE_COLOUR"),
    });
  });
});
