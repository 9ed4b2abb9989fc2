import { IncomingMessage, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { handOverRequest, isPlain, readOn, stopReading } from "../streams/handover.ts";
import { commonHeaders, failureOf } from "./answer.ts";
import { endGently } from "./unread.ts";

/** bytes; below it a body of known length is read here sooner than it is given away. */
const worthGiving = 1024 * 1024;

/**
 * A request that looks like one for an upgrade where `isUpload` says so: the server then stops reading behind its head and hands over the
 * connection, which is the only way to leave a body unread.
 */
export function uploadAware(isUpload: (req: IncomingMessage) => boolean): typeof IncomingMessage {
  return class extends IncomingMessage {
    // No initial values: the setter is called by the constructor above us.
    declare _asked: boolean | undefined;
    declare _settled: boolean | undefined;

    // A property there, which Node sets: first from the head, then to what the server makes of it. @types/node does not tell of it.
    get upgrade(): boolean {
      return this._asked === true || (this._settled !== true && this.method === "PUT" && isUpload(this));
    }

    set upgrade(asked: boolean) {
      this._asked = asked;
      // Before its method is known it is the head's word; afterwards it is the server's.
      this._settled = this.method !== undefined && this.method !== null;
    }
  } as unknown as typeof IncomingMessage;
}

/** Whether a body is worth giving away, and comes at once on a connection that can be. */
export function isLargeBody({ headers, httpVersion, socket }: IncomingMessage): boolean {
  if (httpVersion !== "1.1" || headers.expect !== undefined || headers.upgrade !== undefined || !isPlain(socket))
    return false;
  const coding = headers["transfer-encoding"];
  if (coding !== undefined) return coding.toLowerCase() === "chunked";
  return Number(headers["content-length"] ?? 0) >= worthGiving;
}

/** A request whose body has not been read. One of {@link replay}, {@link answer} and {@link refuse} ends it. */
export class Upload {
  readonly req: IncomingMessage;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  readonly #socket: Socket;
  readonly #head: Buffer;
  readonly #serve: (socket: Socket) => void;
  #given = false;

  /** `serve` takes a connection for its next request. */
  constructor(req: IncomingMessage, socket: Socket, head: Buffer, serve: (socket: Socket) => void) {
    this.req = req;
    this.#socket = socket;
    // Whatever comes from now on is for whom it will be given to.
    this.#head = Buffer.concat([head, stopReading(socket)]);
    this.#serve = serve;
    const gone = new AbortController();
    this.signal = gone.signal;
    socket.on("error", destroy);
    socket.once("close", () => gone.abort());
  }

  /** True once somebody else reads the connection: only then can it not be replayed. */
  get given(): boolean {
    return this.#given;
  }

  async handOver(inbox: string): Promise<void> {
    const length = this.req.headers["content-length"];
    const isChunked = this.req.headers["transfer-encoding"] !== undefined || length === undefined;
    const framing = isChunked ? "c" : `l${Number(length).toString(16).padStart(16, "0")}`;
    this.#given = true;
    await handOverRequest(inbox, this.#socket, Buffer.concat([Buffer.from(framing), this.#head]));
  }

  /** As if nobody had looked: the server reads the request again, head and body. */
  replay(): void {
    const { method, url, httpVersion, rawHeaders } = this.req;
    let head = `${method} ${url} HTTP/${httpVersion}\r\n`;
    for (let at = 0; at < rawHeaders.length; at += 2) head += `${rawHeaders[at]}: ${rawHeaders[at + 1]}\r\n`;
    this.#socket.unshift(Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), this.#head]));
    this.#again();
  }

  /** 200 and nothing else. `reusable`: the body has been read to its end, and nothing beyond it. */
  answer(reusable: boolean): void {
    const keep = reusable && this.req.headers.connection?.toLowerCase() !== "close";
    const socket = this.#socket;
    const text = answerText(200, { "Content-Length": "0", Connection: keep ? "keep-alive" : "close" }, "");
    if (keep) {
      socket.write(text);
      this.#again();
    } else this.#end(text);
  }

  refuse(error: unknown): void {
    const { status, message } = failureOf(error);
    const body = `${JSON.stringify({ message })}\n`;
    const length = String(Buffer.byteLength(body));
    this.#end(
      answerText(status, { "Content-Type": "application/json", "Content-Length": length, Connection: "close" }, body),
    );
  }

  #end(text: string): void {
    endGently(this.#socket, text);
    readOn(this.#socket);
  }

  #again(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    socket.off("error", destroy);
    this.#serve(socket);
    readOn(socket);
  }
}

function destroy(this: Socket): void {
  this.destroy();
}

function answerText(status: number, own: Readonly<Record<string, string>>, body: string): string {
  const date = new Date().toUTCString();
  const headers = { ...commonHeaders, ...own, Date: date };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\n${lines.join("")}\r\n${body}`;
}
