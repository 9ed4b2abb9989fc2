// Attach and logs: every byte once, both ways, by gRPC and by the monitor's own socket.
import { createHash } from "node:crypto";
import { appendFile, readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node, textOf, unframe, waitExit } from "./harness.ts";

let node: Node;
beforeAll(async () => {
  node = await Node.open();
});
afterAll(() => node.close());

interface AttachOptions {
  stdin?: AsyncIterable<Buffer>;
}

async function* attachRequests(container: string, { stdin }: AttachOptions) {
  yield {
    message: {
      $case: "start" as const,
      value: { container, stdin: stdin !== undefined, stdout: true, stderr: true },
    },
  };
  for await (const value of stdin ?? []) yield { message: { $case: "stdin" as const, value } };
  yield { message: { $case: "closeStdin" as const, value: {} } };
}

const from = async function* (...chunks: string[]) {
  for (const chunk of chunks) yield Buffer.from(chunk);
};

test("attached before the start, nothing is lost either way", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({
    spec: node.spec(["sh", "-c", "echo first; cat; echo last >&2"], { openStdin: true, stdinOnce: true }),
  });
  const answers = supervisor.attach(attachRequests(id, { stdin: from("typed ", "early\n") }))[Symbol.asyncIterator]();
  expect((await answers.next()).value?.message).toEqual({ $case: "ready", value: { tty: false } });
  await supervisor.start({ container: id });
  const chunks: Uint8Array[] = [];
  for (let next = await answers.next(); !next.done; next = await answers.next()) {
    if (next.value.message?.$case === "data") chunks.push(next.value.message.value);
  }
  const bytes = Buffer.concat(chunks);
  expect(unframe(bytes, 1)).toBe("first\ntyped early\n");
  expect(unframe(bytes, 2)).toBe("last\n");
  await supervisor.remove({ container: id, force: true });
});

test("32 MiB through stdin and stdout come out the same", async () => {
  const { supervisor } = node;
  const block = Buffer.alloc(256 * 1024, "berth");
  const count = 128;
  const hash = createHash("sha256");
  for (let i = 0; i < count; i++) hash.update(block);
  const stdin = (async function* () {
    for (let i = 0; i < count; i++) yield block;
  })();
  const { id } = await supervisor.create({
    spec: node.spec(["cat"], { openStdin: true, stdinOnce: true }, { logConfig: { type: "none" } }),
  });
  const answers = supervisor.attach(attachRequests(id, { stdin }))[Symbol.asyncIterator]();
  await answers.next();
  await supervisor.start({ container: id });
  const seen = createHash("sha256");
  const frames = deframer((payload) => seen.update(payload));
  for (let next = await answers.next(); !next.done; next = await answers.next()) {
    if (next.value.message?.$case === "data") frames(next.value.message.value);
  }
  expect(seen.digest("hex")).toBe(hash.digest("hex"));
  await supervisor.remove({ container: id, force: true });
});

/** Takes framed bytes as they come, gives payloads. */
function deframer(payload: (bytes: Buffer) => void): (bytes: Uint8Array) => void {
  let rest = Buffer.alloc(0);
  let left = 0;
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      if (left > 0) {
        const part = rest.subarray(0, left);
        payload(part);
        left -= part.length;
        rest = rest.subarray(part.length);
      }
      if (rest.length < 8 || left > 0) return;
      left = rest.readUInt32BE(4);
      rest = rest.subarray(8);
    }
  };
}

test("a caller of the same host is given the monitor's socket", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({
    spec: node.spec(["cat"], { openStdin: true, stdinOnce: true, tty: false }),
  });
  const wanted = { container: id, stdin: true, stdout: true, stderr: true };
  await expect(supervisor.openAttach({ ...wanted, hostId: "another" })).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
  });
  const { stream } = await supervisor.openAttach({ ...wanted, hostId: "test-host" });
  if (stream === undefined) throw new Error("expected a stream");
  const socket = connect({ path: stream.socket, allowHalfOpen: true });
  socket.write(stream.request);
  socket.end("direct");
  await supervisor.start({ container: id });
  const bytes = Buffer.concat(await socket.toArray());
  const end = bytes.indexOf(10);
  expect(JSON.parse(bytes.toString("utf8", 0, end))).toMatchObject({ ok: true });
  expect(unframe(bytes.subarray(end + 1), 1)).toBe("direct");
  await supervisor.remove({ container: id, force: true });
});

test("an attach to a container that is removed unstarted ends", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: node.spec(["true"]) });
  const answers = supervisor.attach(attachRequests(id, {}))[Symbol.asyncIterator]();
  await answers.next();
  await supervisor.remove({ container: id });
  await expect(answers.next()).rejects.toMatchObject({ reason: "CONTAINER_NOT_RUNNING" });
});

test("logs: streams, tail, timestamps, since and until", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({
    spec: node.spec([
      "sh",
      "-c",
      "for i in 1 2 3 4 5; do echo o$i; done; sleep 0.3; echo e >&2; printf 'no end \\303\\244 \"q\" \\\\ \\t.'",
    ]),
  });
  await supervisor.start({ container: id });
  await waitExit(node, id);
  const logs = async (options: object) =>
    unframe(Buffer.from(await bytesOf(supervisor.logs({ container: id, stdout: true, stderr: true, ...options }))));
  expect(await logs({})).toBe('o1\no2\no3\no4\no5\ne\nno end ä "q" \\ \t.');
  expect(await logs({ stdout: false })).toBe("e\n");
  expect(await logs({ tail: 2 })).toBe('e\nno end ä "q" \\ \t.');
  expect(await logs({ tail: 0 })).toBe("");
  const stamped = (await logs({ timestamps: true, stderr: false })).split("\n");
  expect(stamped[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z o1$/);
  const last = Date.parse(stamped[4]?.slice(0, 30) ?? "");
  const seconds = Math.floor(last / 1000);
  const border = { seconds, nanos: ((last % 1000) + 100) * 1e6 };
  if (border.nanos >= 1e9) Object.assign(border, { seconds: seconds + 1, nanos: border.nanos - 1e9 });
  expect(await logs({ since: border })).toBe('e\nno end ä "q" \\ \t.');
  expect(await logs({ until: border })).toBe("o1\no2\no3\no4\no5\n");
  await supervisor.remove({ container: id });
});

const bytesOf = async (logs: AsyncIterable<{ data: Uint8Array }>) =>
  Buffer.concat(await Array.fromAsync(logs, ({ data }) => data));

test("following a log over rotations gives each line once and ends with the container", async () => {
  const { supervisor } = node;
  const logConfig = { type: "json-file", config: { "max-size": "20k", "max-file": "50" } };
  const { id } = await supervisor.create({ spec: node.spec(["sh", "-c", "seq 1 5000"], {}, { logConfig }) });
  await supervisor.start({ container: id });
  const text = unframe(await bytesOf(supervisor.logs({ container: id, stdout: true, stderr: true, follow: true })));
  expect(text).toBe(Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join(""));
  expect(
    (await readdir(join(node.stateDir, "containers", id))).filter((name) => name.includes("json.log")).length,
  ).toBeGreaterThan(5);
  expect(unframe(await bytesOf(supervisor.logs({ container: id, stdout: true, tail: 3000 })))).toBe(
    Array.from({ length: 3000 }, (_, i) => `${2001 + i}\n`).join(""),
  );
  await supervisor.remove({ container: id });
});

test("a terminal: raw output, resized", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({
    spec: node.spec(
      ["sh", "-c", "stty size; read x; stty size"],
      { tty: true, openStdin: true },
      { consoleSize: [24, 80] },
    ),
  });
  const typed = Promise.withResolvers<void>();
  const stdin = (async function* () {
    await typed.promise;
    yield Buffer.from("x\n");
  })();
  const answers = supervisor.attach(attachRequests(id, { stdin }))[Symbol.asyncIterator]();
  expect((await answers.next()).value?.message).toEqual({ $case: "ready", value: { tty: true } });
  await supervisor.start({ container: id });
  await supervisor.resize({ container: id, rows: 40, columns: 100 });
  typed.resolve();
  const chunks: Uint8Array[] = [];
  for (let next = await answers.next(); !next.done; next = await answers.next()) {
    if (next.value.message?.$case === "data") chunks.push(next.value.message.value);
  }
  expect(Buffer.concat(chunks).toString()).toMatch(/40 100\r\n$/);
  expect(await textOf(supervisor.logs({ container: id, stdout: true }))).toMatch(/40 100\r\n$/);
  await supervisor.remove({ container: id, force: true });
});

test("a torn last line and foreign lines in a log file hurt nobody", async () => {
  const { supervisor } = node;
  const { id } = await supervisor.create({ spec: node.spec(["echo", "good"]) });
  await supervisor.start({ container: id });
  await waitExit(node, id);
  const path = join(node.stateDir, "containers", id, `${id}-json.log`);
  await appendFile(path, '{"time":"2026-01-01T00:00:00Z","log":"other order\\n","stream":"stdout"}\n\n{"log":"torn');
  expect(unframe(await bytesOf(supervisor.logs({ container: id, stdout: true })))).toBe("good\nother order\n");
  await supervisor.remove({ container: id });
});
