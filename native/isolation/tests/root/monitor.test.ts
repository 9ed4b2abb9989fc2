/** The monitor's contract (PROTOCOL.md) on real containers: start, attach, log, terminal, signals, exit. */
import { closeSync, readdirSync } from "node:fs";
import { mkdir, readFile, readlink, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { mount, pidfdOpen, pidfdWait, umount } from "../../ts/index.ts";
import { Bed, Client, cgroupPaths, delay, type Json, until } from "./monitor-bed.ts";

let bed: Bed;
beforeAll(async () => {
  bed = await Bed.make();
});
afterAll(async () => {
  expect(await bed.close()).toEqual([]);
});

test("who attaches before the start loses nothing, framed by stream", async () => {
  let early: Client | undefined;
  const container = await bed.start(["sh", "-c", "echo out; echo err >&2; exit 3"], {
    before: async (c) => {
      early = await c.connect({ op: "attach", stdin: false, stdout: true, stderr: true });
    },
  });
  expect(container.report).toMatchObject({ event: "started" });
  expect(await early?.line()).toEqual({ ok: true });
  const frames = await early?.frames();
  expect(frames?.[1].toString()).toBe("out\n");
  expect(frames?.[2].toString()).toBe("err\n");
  const record = await container.exit();
  expect(record).toMatchObject({
    v: 1,
    exitCode: 3,
    signal: 0,
    oomKilled: false,
    error: "",
    startedAt: container.report["startedAt"],
  });
  expect(Date.parse(record["finishedAt"] as string)).toBeGreaterThan(Date.now() - 10_000);
  const log = await container.log();
  expect(log.map(({ log, stream }) => [log, stream]).sort()).toEqual([
    ["err\n", "stderr"],
    ["out\n", "stdout"],
  ]);
  expect(cgroupPaths(container.id)).toEqual([]);
});

test("a program that cannot run is reported, recorded, and leaves nothing", async () => {
  for (const [program, exitCode] of [
    ["nothing-of-that-name", 127],
    ["/bin/none", 127],
    ["/tmp", 126],
    ["/dev/null", 126],
  ] as const) {
    let early: Client | undefined;
    const container = await bed.start([program], {
      before: async (c) => {
        early = await c.connect({ op: "attach", stdout: true });
      },
    });
    expect(container.report).toMatchObject({ event: "failed", exitCode, phase: "exec" });
    expect(container.report["message"]).toContain(program);
    expect(await container.exit()).toMatchObject({ exitCode, startedAt: "" });
    expect(await early?.line()).toMatchObject({ ok: expect.any(Boolean) as boolean });
    expect(await early?.piece()).toBeNull();
    expect(cgroupPaths(container.id)).toEqual([]);
  }
});

test("the process starts with clean signals and only its own descriptors", async () => {
  const script = "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; exec 3>&1; tty; ls -l /proc/self/fd/0";
  const container = await bed.start(["sh", "-c", script]);
  await container.exit();
  const text = await container.logText();
  expect(text).toMatch(/SigBlk:\s0{16}\nSigIgn:\s0{16}\n/);
  expect(text).toContain("0\n1\n2\n3\nnot a tty\n"); // 3 is what ls reads
  expect(text).toContain("-> /dev/null");
});

test("stdin: what comes with the request first, then the rest, a half-close is end of file", async () => {
  const container = await bed.start(["cat"], { stdin: true });
  const client = await Client.connect(container.socket);
  await client.write(`${JSON.stringify({ op: "attach", stdin: true, stdout: true, stderr: true })}\nfirst `);
  expect(await client.line()).toEqual({ ok: true });
  await client.write("second");
  client.end();
  expect(await client.text()).toBe("first second");
  expect(await container.exit()).toMatchObject({ exitCode: 0 });
  expect(await container.logText()).toBe("first second");
});

test("without stdinOnce the input stays open when a client leaves; several may attach", async () => {
  const container = await bed.start(["cat"], { stdin: true, stdinOnce: false });
  const pieces: Buffer[] = [];
  const seen = () => Buffer.concat(pieces).toString();
  const watching = (await container.attach()).eachFrame((_, data) => void pieces.push(Buffer.from(data)));
  for (const word of ["one ", "two"]) {
    const client = await container.attach({ stdin: true });
    await client.write(word);
    client.end();
    client.destroy();
    await until(() => seen().includes(word));
  }
  expect(await container.ask({ op: "state" })).toMatchObject({ status: "running", pid: container.pid });
  await container.kill();
  await watching;
  expect(seen()).toBe("one two");
});

test("a terminal: raw stream, size, resize, the log as Docker keeps it", async () => {
  const container = await bed.start(["sh", "-c", "stty size; read line; stty size; tty; echo got $line"], {
    terminal: true,
    stdin: true,
  });
  const client = await container.attach({ stdin: true });
  await until(async () => (await container.logText()).includes("24 80"));
  expect(await container.ask({ op: "resize", rows: 30, cols: 100 })).toEqual({ ok: true });
  await client.write("hello\n");
  const text = (await client.raw()).toString();
  expect(text).toContain("hello\r\n30 100\r\n/dev/pts/0\r\ngot hello\r\n");
  await container.exit();
  const log = await container.log();
  expect(log.every((record) => record.stream === "stdout")).toBe(true);
  expect(log.at(-1)?.log).toBe("got hello\r\n");
});

test("resize without a terminal, an unknown operation and bad fields are refused by name", async () => {
  const container = await bed.start(["sleep", "100"]);
  const code = async (request: Json) => ((await container.ask(request))["error"] as Json)["code"];
  expect(await code({ op: "resize", rows: 1, cols: 1 })).toBe("ENOTTY");
  expect(await code({ op: "fly" })).toBe("EINVAL");
  expect(await code({ op: "kill", signal: 1000 })).toBe("EINVAL");
  expect(await code({ op: "attach", exec: "none", stdout: true })).toBe("ENOENT");
  expect(await code({ op: "kill", signal: 9, exec: "none" })).toBe("ESRCH");
  const hostile = await Client.connect(container.socket);
  await hostile.write("\0\0\xff{{{{\n");
  expect(await hostile.line()).toMatchObject({ ok: false });
  const large = await Client.connect(container.socket);
  void large.write(Buffer.alloc(3 << 20, 120)).catch(() => {});
  expect(await large.line()).toMatchObject({ ok: false, error: { code: "EMSGSIZE" } });
  await container.kill();
});

test("signals: exit codes, a stop that is trapped, subscribers hear of it", async () => {
  const container = await bed.start(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"]);
  const subscriber = await container.connect({ op: "subscribe" });
  expect(await subscriber.line()).toMatchObject({ ok: true, status: "running", execs: [] });
  await until(async () => (await container.logText()).includes("ready"));
  expect(await container.ask({ op: "kill", signal: 15 })).toEqual({ ok: true });
  expect(await subscriber.line()).toMatchObject({ event: "exit", exitCode: 7 });
  expect(await subscriber.piece()).toBeNull();
  expect(await container.exit()).toMatchObject({ exitCode: 7, signal: 0 });

  const killed = await bed.start(["sleep", "100"]);
  expect(await killed.kill(9)).toMatchObject({ exitCode: 137, signal: 9 });
});

test("pause stops everything inside, resume goes on", async () => {
  const container = await bed.start(["sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done"]);
  await until(async () => (await container.log()).length > 3);
  expect(await container.ask({ op: "pause" })).toEqual({ ok: true });
  expect(await container.ask({ op: "state" })).toMatchObject({ status: "paused" });
  expect(await container.ask({ op: "pause" })).toMatchObject({ ok: false, error: { code: "EALREADY" } });
  expect((await container.exec("e", ["true"])).answer).toMatchObject({ ok: false, error: { code: "EBUSY" } });
  const before = (await container.log()).length;
  await delay(150);
  expect((await container.log()).length).toBe(before);
  expect(await container.ask({ op: "resume" })).toEqual({ ok: true });
  await until(async () => (await container.log()).length > before + 3);
  await container.kill();
});

test("SIGKILL ends a paused container", async () => {
  const container = await bed.start(["sleep", "100"]);
  expect(await container.ask({ op: "pause" })).toEqual({ ok: true });
  expect(await container.kill(9)).toMatchObject({ exitCode: 137 });
});

test("a user other than root may open its standard streams by name", async () => {
  const container = await bed.start(["sh", "-c", "umask; echo out > /proc/self/fd/1; echo err > /proc/self/fd/2"], {
    uid: 1000,
  });
  expect(await container.exit()).toMatchObject({ exitCode: 0 });
  expect((await container.log()).map(({ log, stream }) => [log, stream]).sort()).toEqual([
    ["0022\n", "stdout"],
    ["err\n", "stderr"],
    ["out\n", "stdout"],
  ]);
});

test("limits can be changed and usage read while it runs", async () => {
  const container = await bed.start(["sleep", "100"]);
  expect(await container.ask({ op: "update", resources: { pids: { limit: 17 } } })).toEqual({ ok: true });
  expect(await container.ask({ op: "stats" })).toMatchObject({ ok: true, pids_limit: 17, pids_current: 1 });
  expect(await container.ask({ op: "update", resources: { pids: { limit: "x" } } })).toMatchObject({ ok: false });
  await container.kill();
});

test("out of memory is told and recorded", async () => {
  const container = await bed.start(["sh", "-c", "read go; exec tail /dev/zero"], {
    stdin: true,
    resources: { memory: { limit: 16 << 20, swap: 16 << 20 } },
  });
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  const client = await container.attach({ stdin: true });
  await client.write("\n");
  expect(await subscriber.line()).toEqual({ event: "oom" });
  expect(await subscriber.line()).toMatchObject({ event: "exit", exitCode: 137, oomKilled: true });
  expect(await container.exit()).toMatchObject({ exitCode: 137, signal: 9, oomKilled: true });
});

test("a line can be read from the log while the container is silent", async () => {
  const container = await bed.start(["sh", "-c", "echo one; printf 'no end'; sleep 100"]);
  await until(async () => (await container.logText()) === "one\n");
  await container.kill();
  expect(await container.logText()).toBe("one\nno end");
});

test("rotation while running: whole records, all of them, in order", async () => {
  const container = await bed.start(["sh", "-c", "seq 1 20000"], { log: { maxSize: 400_000, maxFiles: 10 } });
  await container.exit();
  const files = readdirSync(container.directory).filter((name) => name.includes("-json.log"));
  expect(files.length).toBeGreaterThan(3);
  let text = "";
  for (let n = files.length - 1; n >= 0; n--) {
    const path = container.logPath + (n === 0 ? "" : `.${n}`);
    expect((await stat(path)).size).toBeLessThanOrEqual(400_000);
    text += await container.logText(path);
  }
  expect(text).toBe(Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join(""));
});

test("a full disk costs log records, never the container, and leaves the log readable", async () => {
  const directory = join(bed.directory, "small");
  await mkdir(directory);
  await mount({ source: "tmpfs", target: directory, type: "tmpfs", data: "size=256k" });
  try {
    const path = join(directory, "x-json.log");
    const container = await bed.start(["sh", "-c", "seq 1 50000; exit 6"], { log: { path } });
    const client = await container.attach();
    await client.frames();
    expect(await container.exit()).toMatchObject({ exitCode: 6 });
    const log = await container.log(path);
    expect(log.length).toBeGreaterThan(1000);
    expect(log[0]?.log).toBe("1\n");
    expect((await stat(path)).size).toBeLessThanOrEqual(256 << 10);
  } finally {
    await umount(directory);
  }
});

test("without a log nothing is kept, and an unread container still ends", async () => {
  const container = await bed.start(["sh", "-c", "seq 1 200000"], { log: null });
  expect(await container.exit()).toMatchObject({ exitCode: 0 });
  expect(readdirSync(container.directory)).not.toContain(`${container.id}-json.log`);
});

test("the exit is recorded with nobody there, whatever happened to subscribers", async () => {
  const container = await bed.start(["sh", "-c", "read x; exit 9"], { stdin: true });
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  subscriber.destroy();
  const client = await container.attach({ stdin: true });
  client.destroy();
  expect(await container.exit()).toMatchObject({ exitCode: 9 });
});

test("signals to the monitor do not reach the container; its death does", async () => {
  const container = await bed.start(["sleep", "100"]);
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE", "SIGUSR1"] as const)
    process.kill(container.monitorPid, signal);
  await delay(50);
  expect(await container.ask({ op: "state" })).toMatchObject({ status: "running" });
  expect((await readFile(`/proc/${container.monitorPid}/comm`, "utf8")).trim()).toBe("berth-monitor");
  const process_ = pidfdOpen(container.pid);
  process.kill(container.monitorPid, "SIGKILL");
  await pidfdWait(process_, AbortSignal.timeout(5000));
  closeSync(process_);
  await expect(container.exit()).rejects.toMatchObject({ code: "ENOENT" });
  for (const path of cgroupPaths(container.id))
    await until(async () => (await readFile(`${path}/cgroup.procs`, "utf8")) === "");
  for (const path of cgroupPaths(container.id)) await rmdir(path); // the supervisor's part
});

test("a container in the host's pid namespace leaves no process behind", async () => {
  const script = "sleep 1000 & sleep 1000 & echo $!; (sleep 1000 & echo $!); exit 4";
  const container = await bed.start(["sh", "-c", script], { namespaces: ["mount", "uts", "ipc"] });
  const start = Date.now();
  expect(await container.exit()).toMatchObject({ exitCode: 4 });
  expect(Date.now() - start).toBeLessThan(1500); // killed, not waited for
  for (const line of (await container.logText()).trim().split("\n")) {
    await expect(readlink(`/proc/${line}/exe`)).rejects.toMatchObject({ code: "ENOENT" });
  }
});
