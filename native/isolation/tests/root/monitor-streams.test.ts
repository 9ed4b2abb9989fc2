/** The monitor under load: much output and input unharmed, slow clients, memory, many execs, nothing leaked. */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bed, Client, cgroupPaths, delay, ociProcess, until } from "./monitor-bed.ts";

let bed: Bed;
/** 1 MiB of text in lines of 1,000 characters. */
const block = Buffer.from(
  randomBytes(800 << 10)
    .toString("base64")
    .slice(0, 1 << 20)
    .replace(/(.{999})./g, "$1\n"),
);
const blocks = 200;
const hashOf = (data: Buffer, times: number): string => {
  const hash = createHash("sha256");
  for (let i = 0; i < times; i++) hash.update(data);
  return hash.digest("hex");
};
/** Prints /data/block so many times. */
const print = (times: number) => `i=0; while [ $i -lt ${times} ]; do cat /data/block; i=$((i+1)); done`;

beforeAll(async () => {
  bed = await Bed.make();
  await writeFile(join(bed.rootfs, "data/block"), block);
});
afterAll(async () => {
  expect(await bed.close()).toEqual([]);
});

async function privateBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return [...text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm)].reduce(
    (sum, match) => sum + Number(match[1]) * 1024,
    0,
  );
}

async function streamHash(client: Client): Promise<string> {
  const hash = createHash("sha256");
  await client.eachFrame((stream, data) => {
    if (stream === 1) hash.update(data);
  });
  return hash.digest("hex");
}

test("200 MB of output reach an attached client and the log unharmed; an idle monitor is small again", {
  timeout: 60_000,
}, async () => {
  const expected = hashOf(block, blocks);
  const container = await bed.start(["sh", "-c", `read go; ${print(blocks)}; echo done >&2; read stay`], {
    stdin: true,
  });
  const client = await container.attach({ stdin: true });
  const watcher = await container.attach({ stdout: false });
  const hash = streamHash(client);
  await client.write("go\n");
  let errors = "";
  const watching = watcher.eachFrame((stream, data) => {
    expect(stream).toBe(2);
    errors += data.toString();
  });
  await until(() => errors === "done\n");
  await until(async () => (await privateBytes(container.monitorPid)) < 1 << 20);
  client.end();
  expect(await hash).toBe(expected);
  await watching;
  expect(await container.exit()).toMatchObject({ exitCode: 1 });
  const logged = createHash("sha256");
  for await (const line of createInterface({ input: createReadStream(container.logPath) })) {
    const { log, stream } = JSON.parse(line) as { log: string; stream: string };
    if (stream === "stdout") logged.update(log);
  }
  expect(logged.digest("hex")).toBe(expected);
});

test("200 MB of input reach the process unharmed", { timeout: 60_000 }, async () => {
  const container = await bed.start(["sha256sum"], { stdin: true });
  const client = await container.attach({ stdin: true });
  for (let i = 0; i < blocks; i++) await client.write(block);
  client.end();
  expect(await client.text()).toBe(`${hashOf(block, blocks)}  -\n`);
  await container.exit();
});

test("input and output at once through cat, in an exec", { timeout: 60_000 }, async () => {
  const container = await bed.start(["sleep", "100"]);
  const { client } = await container.exec("cat", ["cat"], { stdin: true });
  const hash = streamHash(client);
  for (let i = 0; i < 50; i++) await client.write(block);
  client.end();
  expect(await hash).toBe(hashOf(block, 50));
  await container.kill();
});

test("a client that stops reading stops the container; when it reads on nothing is missing", {
  timeout: 60_000,
}, async () => {
  const container = await bed.start(["sh", "-c", `read go; ${print(20)}; echo end >&2`], { stdin: true });
  const client = await container.attach({ stdin: true });
  client.socket.pause();
  await client.write("go\n");
  const size = async () => (await readFile(container.logPath)).length;
  let last = -1;
  await until(async () => {
    const now = await size();
    const still = now > 0 && now === last;
    last = now;
    await delay(100);
    return still;
  });
  expect(last).toBeLessThan(3 << 20); // of 20 MiB: the rest waits in the container
  expect(await container.ask({ op: "state" })).toMatchObject({ status: "running" });
  expect(await privateBytes(container.monitorPid)).toBeLessThan(4 << 20);
  expect(await streamHash(client)).toBe(hashOf(block, 20));
  await container.exit();
  expect((await container.logText()).length).toBe(block.length * 20 + 4);
});

test("a client that never reads does not keep the exit from being recorded", { timeout: 60_000 }, async () => {
  const container = await bed.start(["sh", "-c", `read go; cat /data/block`], { stdin: true });
  const client = await container.attach({ stdin: true });
  client.socket.pause();
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  await client.write("go\n");
  await until(async () => (await readFile(container.logPath)).length > 1000);
  expect(await container.ask({ op: "kill", signal: 9 })).toEqual({ ok: true });
  expect(await subscriber.line()).toMatchObject({ event: "exit", exitCode: 137 });
  expect(JSON.parse(await readFile(join(container.directory, "exit.json"), "utf8"))).toMatchObject({ exitCode: 137 });
  client.destroy();
  await container.exit();
});

test("execs: exit codes, output whole before the end, events, resize, kill", { timeout: 30_000 }, async () => {
  const container = await bed.start(["sleep", "100"]);
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  const run = async (id: string, args: string[]) => {
    const { client, answer } = await container.exec(id, args);
    if (answer["ok"] !== true) {
      expect(await subscriber.line()).toEqual({
        event: "exec-exit",
        exec: id,
        exitCode: answer["exitCode"],
        failed: true,
      });
      return { answer, text: "" };
    }
    expect(await subscriber.line()).toEqual({ event: "exec-start", exec: id, pid: answer["pid"] });
    const text = await client.text();
    return { answer: await subscriber.line(), text };
  };
  expect(await run("zero", ["true"])).toMatchObject({ answer: { event: "exec-exit", exec: "zero", exitCode: 0 } });
  expect(await run("code", ["sh", "-c", "echo out; exit 42"])).toMatchObject({
    answer: { exitCode: 42 },
    text: "out\n",
  });
  expect(await run("signal", ["sh", "-c", "kill -9 $$"])).toMatchObject({ answer: { exitCode: 137 } });
  expect(await run("none", ["no-such-program"])).toMatchObject({ answer: { ok: false, exitCode: 127 } });
  expect(await run("directory", ["/tmp"])).toMatchObject({ answer: { ok: false, exitCode: 126 } });
  expect((await run("much", ["cat", "/data/block"])).text.length).toBe(block.length);

  const { client, answer } = await container.exec("tty", ["sh", "-c", "read x; stty size"], {
    terminal: true,
    stdin: true,
  });
  expect(answer).toMatchObject({ ok: true });
  expect((await container.exec("tty", ["true"])).answer).toMatchObject({ ok: false, error: { code: "EEXIST" } });
  expect(await container.ask({ op: "state" })).toMatchObject({
    execs: [{ id: "tty", pid: answer["pid"] }],
    exits: [
      { id: "zero", exitCode: 0 },
      { id: "code", exitCode: 42 },
      { id: "signal", exitCode: 137 },
      { id: "none", exitCode: 127, failed: true },
      { id: "directory", exitCode: 126, failed: true },
      { id: "much", exitCode: 0 },
    ],
  });
  expect(await container.ask({ op: "resize", exec: "tty", rows: 11, cols: 22 })).toEqual({ ok: true });
  await client.write("\n");
  expect((await client.raw()).toString()).toContain("11 22\r\n");

  const sleeper = await container.exec("sleeper", ["sleep", "100"]);
  expect(await container.ask({ op: "kill", exec: "sleeper", signal: 9 })).toEqual({ ok: true });
  expect(await sleeper.client.text()).toBe("");
  const detached = await container.ask({
    op: "exec",
    id: "detached",
    process: ociProcess(["sh", "-c", "exit 3"]),
    attach: null,
  });
  expect(detached).toMatchObject({ ok: true });
  for (let event = await subscriber.line(); ; event = await subscriber.line()) {
    if (event["event"] === "exec-exit" && event["exec"] === "sleeper") expect(event["exitCode"]).toBe(137);
    if (event["event"] !== "exec-exit" || event["exec"] !== "detached") continue;
    expect(event["exitCode"]).toBe(3);
    break;
  }
  await container.kill();
});

test("an exec whose child keeps its output open ends after two seconds", { timeout: 30_000 }, async () => {
  const container = await bed.start(["sleep", "100"]);
  const start = Date.now();
  const { client } = await container.exec("e", ["sh", "-c", "echo said; sleep 50 & exit 5"]);
  expect(await client.text()).toBe("said\n");
  expect(Date.now() - start).toBeGreaterThan(1900);
  expect(Date.now() - start).toBeLessThan(6000);
  await container.kill();
});

test("an exec into a paused container is refused, told and remembered; of many the last 256 are", {
  timeout: 60_000,
}, async () => {
  const container = await bed.start(["sleep", "100"]);
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  await container.ask({ op: "pause" });
  expect((await container.exec("early", ["true"])).answer).toMatchObject({ ok: false, error: { code: "EBUSY" } });
  expect(await subscriber.line()).toEqual({ event: "exec-exit", exec: "early", exitCode: 126, failed: true });
  for (let i = 0; i < 256; i++) await container.exec(`refused-${i}`, ["true"]);
  const { exits } = (await container.ask({ op: "state" })) as { exits: { id: string }[] };
  expect(exits.map(({ id }) => id)).toEqual(Array.from({ length: 256 }, (_, i) => `refused-${i}`));
  await container.ask({ op: "resume" });
  await container.kill();
});

test("when the container ends its execs end too, and are told", { timeout: 30_000 }, async () => {
  const container = await bed.start(["sleep", "100"]);
  const subscriber = await container.connect({ op: "subscribe" });
  await subscriber.line();
  const { client } = await container.exec("e", ["sleep", "100"]);
  await subscriber.line();
  await container.ask({ op: "kill", signal: 9 });
  const events = [await subscriber.line(), await subscriber.line()];
  expect(events).toMatchObject([
    { event: "exec-exit", exec: "e", exitCode: 137 },
    { event: "exit", exitCode: 137 },
  ]);
  expect(await client.text()).toBe("");
  await container.exit();
});

test("100 execs at once, and afterwards no descriptor, process or group more than before", {
  timeout: 60_000,
}, async () => {
  const container = await bed.start(["sleep", "100"]);
  const descriptors = () => readdirSync(`/proc/${container.monitorPid}/fd`).length;
  const children = async () =>
    (await readFile(`/proc/${container.monitorPid}/task/${container.monitorPid}/children`, "utf8")).trim().split(" ")
      .length;
  await (await container.exec("first", ["true"])).client.text();
  await delay(20);
  const before = descriptors();
  const results = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const { client, answer } = await container.exec(`e${i}`, ["sh", "-c", `echo ${i}; exit ${i}`]);
      expect(answer).toMatchObject({ ok: true });
      return client.text();
    }),
  );
  expect(results).toEqual(Array.from({ length: 100 }, (_, i) => `${i}\n`));
  await until(() => descriptors() <= before);
  expect(await children()).toBe(1);
  expect(await container.ask({ op: "state" })).toMatchObject({ execs: [] });
  await container.kill();
  expect(cgroupPaths(container.id)).toEqual([]);
});

test("more connections than allowed are refused, and the rest go on", { timeout: 60_000 }, async () => {
  const container = await bed.start(["sleep", "100"]);
  const clients: Client[] = [];
  for (let i = 0; i < 1023; i++) clients.push(await container.connect({ op: "subscribe" }));
  for (const client of clients) expect(await client.line()).toMatchObject({ ok: true });
  const kept = await container.connect({ op: "state" });
  expect(await kept.line()).toMatchObject({ ok: true });
  clients.push(await container.connect({ op: "subscribe" }));
  await clients.at(-1)?.line();
  const refused = await Client.connect(container.socket);
  expect(await refused.line()).toMatchObject({ ok: false, error: { code: "EAGAIN" } });
  for (const client of clients) client.destroy();
  await until(async () => (await container.ask({ op: "state" }).catch(() => ({ ok: false })))["ok"] === true);
  await container.kill();
});
