import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@berth/testkit";
import { decodeMulti } from "@msgpack/msgpack";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failure, Node, unframe, waitExit } from "./harness.ts";

let node: Node;
let work: string;

beforeAll(async () => {
  node = await Node.open();
  work = await mkdtemp(join(tmpdir(), "ship-"));
});
afterAll(async () => {
  await node.close();
  await rm(work, { recursive: true, force: true });
});

/** A Fluentd that keeps what it is sent; the parsing is the protocol's own (msgpack). */
class Fluentd {
  readonly path: string;
  readonly #sockets = new Set<Socket>();
  readonly #chunks = new Map<Socket, Buffer[]>();
  #server: Server | undefined;
  reading = true;

  constructor(path: string) {
    this.path = path;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      this.#chunks.set(socket, []);
      socket.on("error", () => {});
      if (this.reading) socket.on("data", (data) => this.#chunks.get(socket)?.push(data));
      else socket.pause();
    });
    this.#server = server;
    await rm(this.path, { force: true });
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
  }

  /** [tag, time, record, option] in the order of connections. */
  messages(): { tag: string; log: string; record: Record<string, string> }[] {
    return [...this.#chunks.values()].flatMap((chunks) =>
      [...decodeWhole(Buffer.concat(chunks))].map((message) => {
        const [tag, , record] = message as [string, number, Record<string, string>];
        return { tag, log: record["log"] ?? "", record };
      }),
    );
  }

  /** Goes on with what has come meanwhile. */
  read(): void {
    this.reading = true;
    for (const socket of this.#sockets) socket.on("data", (data) => this.#chunks.get(socket)?.push(data)).resume();
  }

  /** Cheaper than to take all messages apart. */
  received(text: string): boolean {
    return [...this.#chunks.values()].some((chunks) => Buffer.concat(chunks.slice(-2)).includes(text));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

/** The last message may still be on its way. */
function* decodeWhole(bytes: Buffer): Generator<unknown> {
  try {
    yield* decodeMulti(bytes);
  } catch {
    // cut off
  }
}

const lines = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `line ${from + i}`);
const count = (to: number) => `i=0; while [ $i -lt ${to} ]; do echo line $i; i=$((i+1)); done`;

async function create(
  cmd: string,
  server: Fluentd,
  options: Record<string, string> = {},
  config = {},
): Promise<string> {
  const logConfig = {
    type: "fluentd",
    config: { "fluentd-address": `unix://${server.path}`, "fluentd-retry-wait": "100ms", ...options },
  };
  const { id } = await node.supervisor.create({ spec: node.spec(["sh", "-c", cmd], config, { logConfig }) });
  return id;
}

async function logsOf(container: string): Promise<string[]> {
  const chunks: Uint8Array[] = [];
  for await (const { data } of node.supervisor.logs({ container, stdout: true, stderr: true })) chunks.push(data);
  return unframe(Buffer.concat(chunks)).split("\n").slice(0, -1);
}

test("a container's log reaches its server, with tag and attributes; docker logs reads the local copy", async () => {
  const server = new Fluentd(join(work, "a.sock"));
  await server.open();
  const id = await create(
    `echo one; echo two >&2`,
    server,
    { tag: "{{.Name}}-x", labels: "tier" },
    { labels: { tier: "front" } },
  );
  await node.supervisor.start({ container: id });
  await waitExit(node, id);
  await eventually("both lines", async () => server.messages().length === 2);
  const [first] = server.messages();
  expect(first?.tag).toMatch(/-x$/);
  expect(first?.record).toMatchObject({ container_id: id, tier: "front" });
  expect(
    server
      .messages()
      .map(({ log, record }) => `${record["source"]}: ${log}`)
      .sort(),
  ).toEqual(["stderr: two", "stdout: one"]);
  expect((await logsOf(id)).sort()).toEqual(["one", "two"]);
  await node.supervisor.remove({ container: id });
  await server.close();
});

test("a start is refused when the server is away, unless the driver is asynchronous", async () => {
  const server = new Fluentd(join(work, "none.sock"));
  const id = await create("echo a", server);
  const { message } = await failure(node.supervisor.start({ container: id }));
  expect(message).toBe(
    `failed to create task for container: failed to initialize logging driver: dial unix ${server.path}: connect: no such file or directory`,
  );
  const other = await create("echo a", server, { "fluentd-async": "true" });
  await node.supervisor.start({ container: other });
  await waitExit(node, other);
  await server.open();
  await eventually("the line comes when the server does", async () => server.messages().length === 1);
  for (const container of [id, other]) await node.supervisor.remove({ container });
  await server.close();
});

test("a restart of supervisor and server in the middle loses no line and doubles none", async () => {
  const server = new Fluentd(join(work, "b.sock"));
  await server.open();
  const id = await create(
    `while read n; do ${count(2000)}; done; echo end`,
    server,
    {},
    { openStdin: true, stdinOnce: true },
  );
  let open = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const feed = (async function* () {
    yield { message: { $case: "start" as const, value: { container: id, stdin: true } } };
    yield { message: { $case: "stdin" as const, value: Buffer.from("1\n") } };
    await gate;
  })();
  const attached = node.supervisor.attach(feed)[Symbol.asyncIterator]();
  await attached.next();
  await node.supervisor.start({ container: id });
  await eventually("the first lines", async () => server.messages().length === 2000);
  // Polite end: its place is on the disk. The attach goes with it (this caller is on another host), and with it the input.
  await node.end("supervisor", "SIGTERM");
  open();
  await attached.return?.();
  node.startService("supervisor");
  await node.serving();
  await waitExit(node, id);
  await eventually("the end", async () => server.messages().at(-1)?.log === "end");
  expect(server.messages().map(({ log }) => log)).toEqual([...lines(0, 2000), "end"]);
  await node.supervisor.remove({ container: id });
  await server.close();
});

test("a supervisor that is killed sends everything that was written without it", async () => {
  const server = new Fluentd(join(work, "c.sock"));
  await server.open();
  const id = await create(`${count(500)}; sleep 1; ${count(3000)}; echo end`, server);
  await node.supervisor.start({ container: id });
  await eventually("the first lines", async () => server.messages().length >= 500);
  await node.end("supervisor", "SIGKILL");
  node.startService("supervisor");
  await node.serving();
  await waitExit(node, id);
  await eventually("the end", async () => server.messages().at(-1)?.log === "end");
  const got = server.messages().map(({ log }) => log);
  // What was sent and not yet written down may come again, nothing may be missing.
  expect(got.length).toBeGreaterThanOrEqual(3501);
  expect(got.slice(-3001)).toEqual([...lines(0, 3000), "end"]);
  await node.supervisor.remove({ container: id });
  await server.close();
});

test("a server that reads nothing does not stop a container; what was dropped is told in bytes", async () => {
  const server = new Fluentd(join(work, "d.sock"));
  server.reading = false;
  await server.open();
  const small = { "cache-max-size": "64k", "cache-max-file": "2", "cache-compress": "false" };
  const id = await create(count(20_000), server, small);
  await node.supervisor.start({ container: id });
  expect(await waitExit(node, id)).toBe(0);
  await server.close();
  server.reading = true;
  await server.open();
  await eventually("the last line", async () => server.messages().at(-1)?.log === "line 19999", 60_000);
  const marker = server
    .messages()
    .map(({ log }) => log)
    .find((log) => log.startsWith("[berth: "));
  expect(marker).toMatch(/^\[berth: \d+ bytes of log were dropped: the log server was too slow\]$/);
  await node.supervisor.remove({ container: id });
  await server.close();
}, 120_000);

test("mode=blocking: a full copy stops the container, and nothing is lost", async () => {
  const server = new Fluentd(join(work, "e.sock"));
  server.reading = false;
  await server.open();
  const small = { "cache-max-size": "64k", "cache-max-file": "2", "cache-compress": "false", mode: "blocking" };
  // More than pipe, copy and socket hold together.
  const id = await create("seq 0 119999 | sed 's/^/line /'", server, small);
  await node.supervisor.start({ container: id });
  const state = async () => (await node.supervisor.inspect({ container: id })).container?.state;
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect((await state())?.finishedAt).toBeUndefined();
  server.read();
  expect(await waitExit(node, id)).toBe(0);
  await eventually("the last line", async () => server.received("line 119999"), 60_000);
  const got = new Set(server.messages().map(({ log }) => log));
  expect(
    lines(0, 120_000)
      .filter((line) => !got.has(line))
      .slice(0, 3),
  ).toEqual([]);
  expect([...got].some((log) => log.startsWith("[berth"))).toBe(false);
  await node.supervisor.remove({ container: id });
  await server.close();
}, 120_000);

test("--rm: the last lines leave before the container does", async () => {
  const server = new Fluentd(join(work, "f.sock"));
  await server.open();
  const logConfig = { type: "fluentd", config: { "fluentd-address": `unix://${server.path}` } };
  const { id } = await node.supervisor.create({
    spec: node.spec(["sh", "-c", count(100)], {}, { logConfig, autoRemove: true }),
  });
  await node.supervisor.start({ container: id });
  await eventually("it is gone", async () => {
    const { containers } = await node.supervisor.list({ all: true });
    return containers.every((container) => container.id !== id);
  });
  await eventually("the lines", async () => server.messages().length === 100);
  await server.close();
});

test("cache-disabled: the log goes to the server and can't be read here", async () => {
  const server = new Fluentd(join(work, "g.sock"));
  await server.open();
  const id = await create("echo a", server, { "cache-disabled": "true" });
  await node.supervisor.start({ container: id });
  await waitExit(node, id);
  await eventually("the line", async () => server.messages().length === 1);
  expect((await failure(logsOf(id))).message).toBe("configured logging driver does not support reading");
  await node.supervisor.remove({ container: id });
  await server.close();
});
