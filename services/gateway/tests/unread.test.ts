// A client that is still sending when its answer is ready gets to read it, whatever the route; nobody sends for ever.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { BerthError } from "@berth/errors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sendEmpty } from "../src/http/answer.ts";
import { readBody } from "../src/http/body.ts";
import { pieces } from "../src/http/pieces.ts";
import { readAll, TestGateway } from "./support.ts";

const megabyte = 1024 * 1024;
const gateway = new TestGateway();
const refusal = new BerthError("INVALID_ARGUMENT", "no, thank you");

beforeAll(async () => {
  gateway.api.on("POST", "/refuse", () => {
    throw refusal;
  });
  gateway.api.on("POST", "/taste", async ({ req }) => {
    for await (const _ of pieces(req)) throw refusal;
  });
  gateway.api.on("POST", "/small", async ({ req }) => void (await readBody(req)));
  gateway.api.on("POST", "/ignore", ({ res }) => sendEmpty(res, 204));
  gateway.api.onHijack("/stream", async () => {
    throw refusal;
  });
  await gateway.open();
});
afterAll(() => gateway.close());

const head = (path: string, framing: string) => `POST ${path} HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`;

/** Writes everything before it reads anything, as Python's clients do. @throws EPIPE or ECONNRESET when it is not let */
async function sendAll(socket: Socket, total: number, isChunked: boolean): Promise<void> {
  const piece = Buffer.alloc(megabyte, 0x20);
  for (let sent = 0; sent < total; sent += piece.length) {
    if (isChunked) socket.write(`${piece.length.toString(16)}\r\n`);
    const hasRoom = socket.write(piece);
    if (isChunked) socket.write("\r\n");
    if (!hasRoom) await once(socket, "drain");
  }
  if (isChunked) socket.write("0\r\n\r\n");
}

function open(): Socket {
  const socket = connect(gateway.socket);
  socket.pause();
  return socket;
}

describe.each([
  ["/refuse", 400],
  ["/taste", 400],
  ["/small", 400],
  ["/ignore", 204],
  ["/nowhere", 404],
])("POST %s", (path, status) => {
  it.each(["with its length", "in chunks"])("answers %s, sent to its end first", async (how) => {
    const isChunked = how === "in chunks";
    const total = 100 * megabyte;
    const socket = open();
    socket.write(head(path, isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${total}`));
    await sendAll(socket, total, isChunked);
    socket.end();
    const answer = (await readAll(socket)).toString();
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (status === 400) expect(answer).toContain(path === "/small" ? "larger than" : "no, thank you");
  });
});

it.each([
  ["/refuse", 400],
  ["/ignore", 204],
])("answers a client that goes on slowly: POST %s", async (path, status) => {
  const socket = open();
  let failure: unknown;
  socket.on("error", (error) => {
    failure = error;
  });
  socket.write(head(path, "Transfer-Encoding: chunked"));
  const answer = readAll(socket);
  for (let step = 0; step < 12; step++) {
    socket.write("1\r\n \r\n");
    await sleep(100);
  }
  socket.end("0\r\n\r\n");
  expect((await answer).toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(failure).toBeUndefined();
});

it("keeps the connection when the body was small", async () => {
  const socket = open();
  socket.write(`${head("/refuse", "Content-Length: 100000")}${" ".repeat(50_000)}`);
  await sleep(50);
  socket.write(`${" ".repeat(50_000)}${head("/ignore", "Connection: close\r\nContent-Length: 0")}`);
  const answer = (await readAll(socket)).toString();
  expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*HTTP\/1.1 204 /);
  expect(answer).toContain("Connection: keep-alive");
});

it("carries out nothing that comes behind the request with which a connection ends", async () => {
  let calls = 0;
  gateway.api.on("POST", "/count", ({ res }) => {
    calls += 1;
    sendEmpty(res, 204);
  });
  const socket = open();
  socket.write(head("/refuse", `Content-Length: ${megabyte}`));
  await once(socket, "readable");
  socket.write(Buffer.concat([Buffer.alloc(megabyte), Buffer.from(head("/count", "Content-Length: 0"))]));
  expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1.1 400 [\s\S]*Connection: close/);
  expect(calls).toBe(0);
});

it("cuts off a body without an end", async () => {
  const socket = open();
  socket.write(head("/refuse", "Transfer-Encoding: chunked"));
  const failed = once(socket, "error");
  void sendAll(socket, Number.POSITIVE_INFINITY, true).catch(() => {});
  expect(((await failed)[0] as NodeJS.ErrnoException).code).toMatch(/^(EPIPE|ECONNRESET)$/);
}, 20_000);

it("cuts off a client that neither goes on nor leaves", async () => {
  const socket = connect({ path: gateway.socket, allowHalfOpen: true });
  socket.write(head("/refuse", "Transfer-Encoding: chunked"));
  expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1.1 400 /);
  const connections = () =>
    new Promise<number>((resolve) => gateway.server.getConnections((_, count) => resolve(count)));
  await expect.poll(connections, { timeout: 8_000 }).toBe(0);
  socket.destroy();
}, 20_000);

it("refuses a stream into which its client is writing", async () => {
  const socket = open();
  socket.write(head("/stream", "Connection: Upgrade\r\nUpgrade: tcp"));
  await sendAll(socket, 100 * megabyte, false);
  socket.end();
  expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1.1 400 [\s\S]*no, thank you/);
});
