/** The monitor with another OCI runtime in place of our own: streams, exits and execs are the same. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Bed, type Container, type ContainerOptions, cgroupPaths, until } from "./monitor-bed.ts";

/** On PATH, by its whole path. */
function find(name: string): string {
  const paths = (process.env["PATH"] ?? "").split(":").map((directory) => join(directory, name));
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`no ${name} on PATH: these tests need the Debian package of it`);
  return found;
}

describe.each(["runc", "crun"])("%s", (name) => {
  const runtime = find(name);
  let bed: Bed;
  beforeAll(async () => {
    bed = await Bed.make();
  });
  afterAll(async () => {
    expect(await bed.close()).toEqual([]);
  });
  const start = (args: readonly string[], options: ContainerOptions = {}) => bed.start(args, { ...options, runtime });
  const states = (container: Container) => {
    const root = join(container.directory, "state");
    return existsSync(root) ? readdirSync(root) : [];
  };

  test("output, log and exit code, and nothing is left", async () => {
    const container = await start(["sh", "-c", "echo out; echo err >&2; exit 3"]);
    expect(container.report).toMatchObject({ event: "started" });
    expect(await container.exit()).toMatchObject({ exitCode: 3, signal: 0, oomKilled: false, error: "" });
    expect((await container.log()).map(({ log, stream }) => [stream, log]).sort()).toEqual([
      ["stderr", "err\n"],
      ["stdout", "out\n"],
    ]);
    expect(states(container)).toEqual([]);
    expect(cgroupPaths(container.id)).toEqual([]);
  });
  test("who attaches before the start misses nothing, and input comes through", async () => {
    let client: Awaited<ReturnType<Container["connect"]>> | undefined;
    const container = await start(["cat"], {
      stdin: true,
      before: async (early) => {
        client = await early.connect({ op: "attach", stdin: true, stdout: true, stderr: true });
      },
    });
    if (client === undefined) throw new Error("not connected");
    expect(await client.line()).toMatchObject({ ok: true });
    await client.write("hello\n");
    client.end();
    expect(await client.text()).toBe("hello\n");
    expect(await container.exit()).toMatchObject({ exitCode: 0 });
  });
  test("a terminal of the asked size", async () => {
    const container = await start(["sh", "-c", "tty && stty size && sleep 0.1"], { terminal: true });
    expect(container.report).toMatchObject({ event: "started" });
    expect(await container.exit()).toMatchObject({ exitCode: 0 });
    expect((await container.logText()).replaceAll("\r", "")).toMatch(/^\/dev\/(pts\/0|console)\n24 80\n$/);
  });
  test("a killed container says by what, and its first process is the monitor's child", async () => {
    const container = await start(["sleep", "1000"]);
    const stat = readFileSync(`/proc/${container.pid}/stat`, "utf8");
    expect(Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])).toBe(container.monitorPid);
    expect(await container.kill(9)).toMatchObject({ exitCode: 137, signal: 9 });
  });
  test("execs: codes, users, terminals, and what can't be run", async () => {
    const container = await start(["sleep", "1000"]);
    const { client, answer } = await container.exec("one", ["sh", "-c", "id -u; cat; exit 7"], { stdin: true, uid: 5 });
    expect(answer).toMatchObject({ ok: true });
    await client.write("in\n");
    client.end();
    expect(await client.text()).toBe("5\nin\n");
    const state = await until(async () => {
      const now = await container.ask({ op: "state" });
      return (now["exits"] as unknown[]).length > 0 && now;
    });
    expect(state["exits"]).toEqual([{ id: "one", exitCode: 7 }]);
    const terminal = await container.exec("two", ["sh", "-c", "stty size; sleep 0.1"], { terminal: true });
    expect(terminal.answer).toMatchObject({ ok: true });
    const failed = await container.exec("three", ["nope"]);
    expect(failed.answer).toMatchObject({ ok: false, exitCode: 127, error: { call: "runtime exec" } });
    await container.kill();
  });
  test("pause, limits and counters by the control group", async () => {
    const container = await start(["sh", "-c", "while :; do :; done"], {
      resources: { memory: { limit: 64 << 20 }, pids: { limit: 10 } },
    });
    expect(await container.ask({ op: "stats" })).toMatchObject({ ok: true, memory_limit: 64 << 20, pids_limit: 10 });
    expect(await container.ask({ op: "update", resources: { pids: { limit: 20 } } })).toEqual({ ok: true });
    expect(await container.ask({ op: "stats" })).toMatchObject({ pids_limit: 20 });
    expect(await container.ask({ op: "pause" })).toEqual({ ok: true });
    expect(await container.ask({ op: "state" })).toMatchObject({ status: "paused" });
    expect(await container.kill(9)).toMatchObject({ exitCode: 137 });
  });
  test("a program that is not there: the runtime's own words", async () => {
    const container = await start(["nope"]);
    expect(container.report).toMatchObject({
      event: "failed",
      exitCode: 127,
      phase: "runtime-create",
      message: expect.stringContaining("nope"),
    });
    expect(states(container)).toEqual([]);
    expect(cgroupPaths(container.id)).toEqual([]);
  });
});

test("a runtime that is not there is told in containerd's words", async () => {
  const bed = await Bed.make();
  const container = await bed.start(["true"], { runtime: "/nonexistent/runtime" });
  expect(container.report).toEqual({
    event: "failed",
    exitCode: 127,
    phase: "runtime-create",
    message:
      `unable to retrieve OCI runtime error (open ${container.directory}/oci/log.json: no such file or directory): ` +
      "fork/exec /nonexistent/runtime: no such file or directory",
  });
  await bed.close();
});
