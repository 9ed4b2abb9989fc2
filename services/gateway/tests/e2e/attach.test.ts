import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { type Bed, eventually, openBed } from "@berth/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";

let bed: Bed;
let busybox: string;
beforeAll(async () => {
  bed = await openBed();
  busybox = await bed.push("busybox");
}, 120_000);
afterAll(async () => {
  await bed.close();
});

/** stdout of an attach over POST, its frames taken apart. */
async function attached(container: string, query: string): Promise<string> {
  const socket = connect(bed.engine.socket);
  socket.write(
    `POST /v1.51/containers/${container}/attach?${query} HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n`,
  );
  const chunks: Buffer[] = [];
  socket.on("data", (data) => chunks.push(data));
  await once(socket, "close");
  const all = Buffer.concat(chunks);
  let text = "";
  for (let at = all.indexOf("\r\n\r\n") + 4; at + 8 <= all.length; ) {
    const size = all.readUInt32BE(at + 4);
    text += all.toString("latin1", at + 8, at + 8 + size);
    at += 8 + size;
  }
  return text;
}

it("attach shows the log and goes on with the stream: no line is missing, none comes twice", async () => {
  const script =
    "i=0; while [ $i -lt 9000 ]; do echo line $i; i=$((i+1)); [ $((i % 900)) = 0 ] && usleep 100000; done; printf end; sleep 1";
  const options = ["--network", "none", "--log-opt", "max-size=100k", "--log-opt", "max-file=20"];
  const id = (await bed.docker.must(["run", "-d", ...options, busybox, "sh", "-c", script])).trim();
  const wanted = `${Array.from({ length: 9000 }, (_, i) => `line ${i}\n`).join("")}end`;
  const readers = Array.from({ length: 6 }, async (_, n) => {
    await new Promise((resolve) => setTimeout(resolve, n * 150));
    return attached(id, "stdout=1&stream=1&logs=1");
  });
  for (const text of await Promise.all(readers))
    expect(text === wanted, `${text.length} of ${wanted.length}`).toBe(true);
  await bed.docker.must(["rm", "-f", id]);
});

it("attach by websocket: input, both outputs, the log first, no frames", async () => {
  const script = "echo start; echo oops >&2; read x; echo got $x";
  const id = (await bed.docker.must(["run", "-d", "-i", "--network", "none", busybox, "sh", "-c", script])).trim();
  const query = "stdin=1&stdout=1&stderr=1&stream=1&logs=1";
  const socket = new WebSocket(`ws+unix:${bed.engine.socket}:/v1.51/containers/${id}/attach/ws?${query}`);
  let text = "";
  socket.on("message", (data: Buffer, isBinary) => {
    expect(isBinary).toBe(true);
    text += data.toString();
  });
  socket.on("open", () => socket.send("hello\n"));
  await once(socket, "close");
  expect(text.split("\n").sort()).toEqual(["", "got hello", "oops", "start"]);
  await bed.docker.must(["rm", "-f", id]);
});

it("attach by websocket to no container is told so, whatever the request lacks to become one", async () => {
  const answer = await bed.api.call("GET", "/containers/no-such/attach/ws");
  expect([answer.status, answer.json]).toEqual([404, { message: "No such container: no-such" }]);
});

it("a gateway that is asked to end does so, whoever holds on to a stream", async () => {
  const id = (await bed.docker.must(["run", "-d", "-i", "--network", "none", busybox, "cat"])).trim();
  const socket = connect({ path: bed.engine.socket, allowHalfOpen: true });
  const path = `/v1.51/containers/${id}/attach/ws?stdin=1&stdout=1&stream=1`;
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==";
  socket.write(`GET ${path} HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${key}\r\n\r\n`);
  socket.on("error", () => {});
  await once(socket, "data");
  const pid = bed.engine.pidOf("gateway");
  process.kill(pid, "SIGTERM");
  await eventually("its process is gone", () => !existsSync(`/proc/${pid}`) || undefined, 8_000);
  socket.destroy();
  await eventually("another one serves", async () => (await bed.docker.run(["rm", "-f", id])).code === 0 || undefined);
}, 60_000);
