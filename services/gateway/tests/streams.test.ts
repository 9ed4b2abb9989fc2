import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { BerthError } from "@berth/errors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UpgradePeer } from "../src/http/hijack.ts";
import type { StreamResponse } from "../src/rpc/types.ts";
import { connectStream } from "../src/streams/connect.ts";
import { type Joined, join, RemoteStream } from "../src/streams/remote.ts";
import { readAll, splitAnswer, TestGateway } from "./support.ts";

const megabyte = 1024 * 1024;

describe("streams through the gateway", () => {
  const gateway = new TestGateway();
  const options = { contentType: "application/vnd.docker.multiplexed-stream", framed: true, detachKeys: undefined };

  let mute: Joined;

  beforeAll(async () => {
    const local = (socket: string): Joined => ({ local: { socket, request: Buffer.from('{"op":"attach"}\n') } });
    const echo = await gateway.monitor("echo", (socket) => {
      socket.write('{"ok":true}\n');
      socket.pipe(socket);
    });
    const late = await gateway.monitor("late", (socket) => {
      setTimeout(() => socket.end('{"ok":true}\nstarted'), 200);
    });
    const refusing = await gateway.monitor("refusing", (socket) => {
      socket.end('{"ok":false,"exitCode":127,"error":{"code":"ENOENT","call":"exec","object":"","message":"no"}}\n');
    });
    const source = await gateway.monitor("source", (socket) => {
      socket.write('{"ok":true}\n');
      let left = 64;
      const piece = Buffer.alloc(megabyte, 7);
      const send = () => {
        while (left > 0) {
          left -= 1;
          if (!socket.write(piece)) {
            socket.once("drain", send);
            return;
          }
        }
        socket.end();
      };
      send();
    });
    const silent = await gateway.monitor("silent", (socket) => {
      setTimeout(() => socket.end(), 50);
    });
    for (const [name, path] of Object.entries({ echo, late, source, silent })) {
      gateway.api.onHijack(`/${name}/{name}/attach`, ({ peer }) => connectStream(peer, local(path), options));
    }
    gateway.api.onHijack("/refusing/{name}/attach", ({ peer }) =>
      connectStream(peer, local(refusing), { ...options, explain: ({ exitCode }) => `no: ${exitCode}` }),
    );
    mute = local(await gateway.monitor("mute", (socket) => void socket.resume()));
    gateway.api.onHijack("/nowhere/{name}/attach", ({ peer }) =>
      connectStream(peer, local(`${gateway.dir}/none`), options),
    );
    gateway.api.onHijack("/body/{name}/start", async ({ peer }) => {
      const body = await peer.body();
      const stream = peer.accept("x");
      stream.output.end(`body ${body.toString()}`);
    });
    gateway.api.onHijack("/remote/{name}/attach", async ({ peer }) => {
      await connectStream(peer, await join(remoteEcho, { container: "x" }, peer.signal), options);
    });
    await gateway.open();
  });
  afterAll(() => gateway.close());

  it("sends 101 before the container has anything to say", async () => {
    const socket = gateway.upgrade("/late/x/attach");
    const first = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    const { head, body } = splitAnswer(first);
    expect(head).toMatch(/^HTTP\/1\.1 101 UPGRADED\r\n/);
    expect(head).toContain("Content-Type: application/vnd.docker.multiplexed-stream");
    expect(body).toHaveLength(0);
    expect((await readAll(socket)).toString()).toBe("started");
  });

  it("opens nothing for a client that has left before the way to the stream stands", async () => {
    const socket = new PassThrough();
    const peer = new UpgradePeer({ headers: {} } as IncomingMessage, socket, Buffer.alloc(0));
    const left = new Promise((resolve) => peer.signal.addEventListener("abort", resolve));
    socket.destroy();
    await left;
    const late = new Promise((resolve) => setTimeout(resolve, 3_000, "still open"));
    const outcome = connectStream(peer, mute, options).catch((error: unknown) => error);
    expect(await Promise.race([outcome, late])).toMatchObject({ name: "AbortError" });
  });

  it("passes the end of input on alone, and every byte both ways", async () => {
    const socket = gateway.upgrade("/echo/x/attach");
    const input = Buffer.alloc(8 * megabyte, "0123456789abcdef");
    socket.end(input);
    const { body } = splitAnswer(await readAll(socket));
    expect(body.equals(input)).toBe(true);
  });

  it("keeps nothing for a slow reader: the container waits", async () => {
    const socket = gateway.upgrade("/source/x/attach");
    const before = process.memoryUsage().arrayBuffers;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * megabyte);
    const { body } = splitAnswer(await readAll(socket));
    expect(body).toHaveLength(64 * megabyte);
  });

  it("ends with a monitor that ends without a word", async () => {
    const { head, body } = splitAnswer(await readAll(gateway.upgrade("/silent/x/attach")));
    expect(head).toMatch(/^HTTP\/1\.1 101/);
    expect(body).toHaveLength(0);
  });

  it("gives every byte to readers that stop and go", async () => {
    const socket = gateway.upgrade("/echo/x/attach");
    const input = Buffer.alloc(4 * megabyte);
    for (let at = 0; at < input.length; at += 4) input.writeUInt32LE(at, at);
    socket.end(input);
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if (chunks.length % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(splitAnswer(Buffer.concat(chunks)).body.equals(input)).toBe(true);
  });

  it("tells of a refusal in a frame", async () => {
    const { head, body } = splitAnswer(await readAll(gateway.upgrade("/refusing/x/attach")));
    expect(head).toMatch(/^HTTP\/1\.1 101/);
    expect([...body.subarray(0, 8)]).toEqual([1, 0, 0, 0, 0, 0, 0, 9]);
    expect(body.subarray(8).toString()).toBe("no: 127\r\n");
  });

  it("answers an error while it still can", async () => {
    const { head, body } = splitAnswer(await readAll(gateway.upgrade("/nowhere/x/attach")));
    expect(head).toMatch(/^HTTP\/1\.1 503 Service Unavailable/);
    expect(JSON.parse(body.toString())).toHaveProperty("message");
  });

  it("reads the body of an upgraded request", async () => {
    const { body } = splitAnswer(await readAll(gateway.upgrade("/body/x/start", '{"Detach":false}')));
    expect(body.toString()).toBe('body {"Detach":false}');
  });

  it("without an upgrade answers 200, unframed, until the end", async () => {
    const answer = await gateway.call("POST", "/late/x/attach");
    expect(answer).toMatchObject({ status: 200, text: "started" });
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
  });

  it("bridges a container on another host", async () => {
    const socket = gateway.upgrade("/remote/x/attach");
    const input = Buffer.alloc(3 * megabyte, "remote");
    socket.end(input);
    const { body } = splitAnswer(await readAll(socket));
    expect(body.equals(input)).toBe(true);
  });

  it("passes on what the supervisor throws", async () => {
    const failing = async function* (): AsyncGenerator<StreamResponse> {
      yield await Promise.reject(new BerthError("NO_SUCH_CONTAINER", "No such container: x"));
    };
    await expect(join(failing, {}, new AbortController().signal)).rejects.toThrow("No such container: x");
    expect(RemoteStream).toBeDefined();
  });
});

/** What a supervisor on another host does: says ready, then sends back what comes. */
async function* remoteEcho(
  requests: AsyncIterable<{ message: { $case: string; value: unknown } }>,
): AsyncGenerator<StreamResponse> {
  for await (const { message } of requests) {
    if (message.$case === "start") yield { message: { $case: "ready", value: { tty: false } } };
    if (message.$case === "stdin") yield { message: { $case: "data", value: message.value as Buffer } };
    if (message.$case === "closeStdin") return;
  }
}
