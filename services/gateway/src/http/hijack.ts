import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { BerthError } from "@berth/errors";
import { commonHeaders, failureOf, sendEmpty } from "./answer.ts";
import { readBody } from "./body.ts";
import { endGently } from "./unread.ts";

/**
 * The client's end of a stream that begins as HTTP: POST with `Upgrade: tcp` is answered `101 UPGRADED` and the
 * connection belongs to the stream; without it the answer is `200 OK`, unframed, until the connection closes.
 */
export interface Peer {
  readonly headers: IncomingMessage["headers"];
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
  /** True once the headers are out and errors can only be told inside the stream. */
  readonly accepted: boolean;
  /** The request's body; asked for before {@link accept}. */
  body(): Promise<Buffer>;
  accept(contentType: string): PeerStream;
  /** Answers 200 with nothing, for a request that turned out to want no stream. */
  finish(): void;
  /** Refuses in the way of attach: status line, content type of a stream, the text. */
  refuse(error: unknown, asText: boolean): void;
}

export interface PeerStream {
  input: Readable;
  output: Writable;
  /** Set when the connection itself is both: it can be piped as it is. */
  socket: Duplex | undefined;
}

const maxBody = 1024 * 1024;

/** One for all: every stream ends with it, and making an error takes its stack. */
const clientGone = new DOMException("the client has left", "AbortError");

abstract class BasePeer {
  readonly #controller = new AbortController();
  accepted = false;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  protected gone(): void {
    this.#controller.abort(clientGone);
  }
}

/** A connection handed over by node:http's "upgrade" event: raw, with what was read too far in `head`. */
export class UpgradePeer extends BasePeer implements Peer {
  readonly headers: IncomingMessage["headers"];
  readonly #socket: Duplex;
  #head: Buffer;

  constructor(req: IncomingMessage, socket: Duplex, head: Buffer) {
    super();
    this.headers = req.headers;
    this.#socket = socket;
    this.#head = head;
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.gone());
  }

  /** node:http leaves the body of an upgraded request on the connection. */
  async body(): Promise<Buffer> {
    const length = Number(this.headers["content-length"] ?? 0);
    if (this.headers["transfer-encoding"] !== undefined || !(length >= 0 && length <= maxBody)) {
      throw new BerthError("INVALID_ARGUMENT", `expected a body with a Content-Length of at most ${maxBody} bytes`);
    }
    while (this.#head.length < length) this.#head = Buffer.concat([this.#head, await this.#more()]);
    const body = this.#head.subarray(0, length);
    this.#head = this.#head.subarray(length);
    return body;
  }

  #more(): Promise<Buffer> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(new BerthError("DEADLINE", "the request's body did not arrive")), 20_000);
      const onReadable = () => {
        const chunk = socket.read() as Buffer | null;
        if (chunk !== null) end(undefined, chunk);
      };
      const onEnd = () => end(new BerthError("CANCELLED", "the client left in the middle of its request"));
      const end = (error?: Error, chunk?: Buffer) => {
        clearTimeout(timer);
        socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
        if (chunk === undefined) reject(error);
        else resolve(chunk);
      };
      socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
    });
  }

  accept(contentType: string): PeerStream {
    this.accepted = true;
    const lines = [
      "HTTP/1.1 101 UPGRADED",
      `Content-Type: ${contentType}`,
      "Connection: Upgrade",
      `Upgrade: ${String(this.headers["upgrade"] ?? "tcp")}`,
      ...Object.entries(commonHeaders).map(([name, value]) => `${name}: ${value}`),
    ];
    this.#socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    if (this.#head.length > 0) this.#socket.unshift(this.#head);
    this.#head = Buffer.alloc(0);
    return { input: this.#socket, output: this.#socket, socket: this.#socket };
  }

  finish(): void {
    this.accepted = true;
    endGently(this.#socket, emptyAnswer());
  }

  refuse(error: unknown, asText: boolean): void {
    const { status, message } = failureOf(error);
    const body = asText ? `${message}\r\n` : `${JSON.stringify({ message })}\n`;
    const type = asText ? "application/vnd.docker.raw-stream" : "application/json";
    const lines = [
      `HTTP/1.1 ${status} ${statusTexts[status] ?? "Error"}`,
      `Content-Type: ${type}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
      ...Object.entries(commonHeaders).map(([name, value]) => `${name}: ${value}`),
    ];
    endGently(this.#socket, `${lines.join("\r\n")}\r\n\r\n${body}`);
  }
}

function emptyAnswer(): string {
  const headers = Object.entries(commonHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n${headers.join("")}\r\n`;
}

const statusTexts: Record<number, string> = {
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

/** A request that did not ask for an upgrade. Input can only be its body. */
export class PlainPeer extends BasePeer implements Peer {
  readonly headers: IncomingMessage["headers"];
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;

  constructor(req: IncomingMessage, res: ServerResponse) {
    super();
    this.headers = req.headers;
    this.#req = req;
    this.#res = res;
    res.once("close", () => this.gone());
  }

  body(): Promise<Buffer> {
    return readBody(this.#req, maxBody);
  }

  accept(contentType: string): PeerStream {
    this.accepted = true;
    const res = this.#res;
    // The stream ends with the connection: chunks would be taken for output.
    res.useChunkedEncodingByDefault = false;
    res.shouldKeepAlive = false;
    res.writeHead(200, { ...commonHeaders, "Content-Type": contentType });
    res.flushHeaders();
    return { input: this.#req, output: res, socket: undefined };
  }

  finish(): void {
    this.accepted = true;
    sendEmpty(this.#res, 200);
  }

  refuse(error: unknown, asText: boolean): void {
    const { status, message } = failureOf(error);
    const body = asText ? `${message}\r\n` : `${JSON.stringify({ message })}\n`;
    const type = asText ? "application/vnd.docker.raw-stream" : "application/json";
    this.#res.writeHead(status, { ...commonHeaders, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
    this.#res.end(body);
  }
}
