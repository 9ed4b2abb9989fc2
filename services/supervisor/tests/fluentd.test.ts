import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, expect, test, vi } from "vitest";
import { fluentdDriver } from "../src/domain/logs/ship/fluentd.ts";
import { makeRecord, makeSpec } from "./support.ts";

afterEach(() => {
  vi.useRealTimers();
});

const entry = { stderr: false, time: 1_000_000_000n, content: Buffer.from("line") };

test("what one connection did not acknowledge does not end the next", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const [, , , { chunk }] = decode(data) as [string, unknown, unknown, { chunk: string }];
      socket.write(encode({ ack: chunk }));
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  const config = { "fluentd-address": `127.0.0.1:${port}`, "fluentd-request-ack": "true" };
  const driver = fluentdDriver(makeRecord(makeSpec({ logConfig: { type: "fluentd", config } })));
  try {
    await driver.connect();
    await driver.send([entry]);
    const [first] = connections as [Socket];
    const ended = once(first, "close");
    first.destroy();
    await ended;
    // Of this connection's end the driver learns a moment later.
    await sleep(100);
    await expect(driver.send([entry])).rejects.toThrow("closed the connection");
    await driver.connect();
    // Longer than an acknowledgement is waited for.
    vi.advanceTimersByTime(60_000);
    await driver.send([entry]);
    expect(connections).toHaveLength(2);
  } finally {
    driver.close();
    for (const socket of connections) socket.destroy();
    server.close();
  }
});
