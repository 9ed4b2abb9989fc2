// Whether a process answers. By hand on plain sockets, since the questions and the answers are a few bytes: Node's HTTP/2,
// and the TLS that comes with it, would be a third of the launcher's memory.
import { connect, type Socket } from "node:net";

/** How long a process may take to answer, ms. */
const timeoutMs = 1_000;
/** More than any answer that counts. */
const maxAnswerBytes = 64 * 1024;

/** Asks grpc.health.v1.Health/Check over a unix socket, for the whole server. */
export function isServing(socketPath: string): Promise<boolean> {
  return ask(connect(socketPath), checkRequest, (received) => {
    const messages: Buffer[] = [];
    for (const { type, flags, stream, payload } of frames(received)) {
      if (type === frameTypes.reset || type === frameTypes.goAway) return false;
      if (stream !== 1) continue;
      if (type === frameTypes.data) messages.push(payload);
      if ((flags & endOfStream) !== 0) return Buffer.concat(messages).equals(servingAnswer);
    }
    return undefined;
  });
}

/** GET /_ping of the Engine API at a unix:// or tcp:// URL. TLS endpoints are not asked. */
export function pings(host: string): Promise<boolean> {
  const socket = host.startsWith("unix://")
    ? connect(host.slice("unix://".length))
    : connect(Number(new URL(host).port), new URL(host).hostname.replace(/^\[|\]$/g, ""));
  const question = Buffer.from("GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const wanted = "HTTP/1.1 200 ";
  return ask(socket, question, (received) =>
    received.length < wanted.length ? undefined : received.toString("latin1", 0, wanted.length) === wanted,
  );
}

/** Sends a question, and gives `judge` all that came so far until it knows the answer. False for whatever goes wrong. */
function ask(socket: Socket, question: Buffer, judge: (received: Buffer) => boolean | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const end = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end(false), timeoutMs);
    socket.on("error", () => end(false));
    socket.once("close", () => end(false));
    socket.on("data", (data: Buffer) => {
      received = Buffer.concat([received, data]);
      const answer = received.length > maxAnswerBytes ? false : judge(received);
      if (answer !== undefined) end(answer);
    });
    socket.write(question);
  });
}

/** Of HTTP/2 (RFC 9113, section 6), as far as one call needs them. */
const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, goAway: 7 } as const;
const endOfStream = 1;
const endOfHeaders = 4;
const frameHeaderBytes = 9;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The frames that have come whole. */
function* frames(received: Buffer): Generator<Frame> {
  for (let offset = 0; offset + frameHeaderBytes <= received.length; ) {
    const start = offset + frameHeaderBytes;
    const end = start + received.readUIntBE(offset, 3);
    if (end > received.length) return;
    yield {
      type: received.readUInt8(offset + 3),
      flags: received.readUInt8(offset + 4),
      stream: received.readUInt32BE(offset + 5) & 0x7fffffff,
      payload: received.subarray(start, end),
    };
    offset = end;
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** A header's text of fewer than 127 bytes (RFC 7541, section 5.2), not compressed. */
const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);

/** A call of one stream. Names that HPACK's table knows go by their number: 3 is POST, 6 http, 4 :path, 1 :authority, 31 content-type. */
const checkRequest = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(frameTypes.settings, 0, 0, Buffer.alloc(0)),
  frame(
    frameTypes.headers,
    endOfHeaders,
    1,
    Buffer.concat([
      Buffer.from([0x83, 0x86, 0x04]),
      text("/grpc.health.v1.Health/Check"),
      Buffer.from([0x01]),
      text("localhost"),
      Buffer.from([0x0f, 31 - 15]),
      text("application/grpc"),
      Buffer.from([0x00]),
      text("te"),
      text("trailers"),
    ]),
  ),
  // Not compressed, no bytes: a HealthCheckRequest for the whole server.
  frame(frameTypes.data, endOfStream, 1, Buffer.from([0, 0, 0, 0, 0])),
]);

/** Not compressed, two bytes: field 1 (status), SERVING. */
const servingAnswer = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);
