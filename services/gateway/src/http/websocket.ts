import type { IncomingMessage } from "node:http";
import { type Duplex, Transform, type TransformCallback } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import { type PeerStream, UpgradePeer } from "./hijack.ts";

/** bytes of one message from a client; more is refused (1009). */
const maxPayload = 1024 * 1024;
const headerSize = 8;

/** Takes connections over; a websocket's own port is none of its business. */
const server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload });

export const isWebSocket = (req: IncomingMessage): boolean => req.headers.upgrade?.toLowerCase() === "websocket";

/** A client whose stream goes in websocket messages (binary, as Docker's since API 1.28), and never in the Engine API's frames. */
export class WebSocketPeer extends UpgradePeer {
  readonly #req: IncomingMessage;
  readonly #connection: Duplex;
  readonly #early: Buffer;

  constructor(req: IncomingMessage, socket: Duplex, head: Buffer) {
    super(req, socket, Buffer.alloc(0));
    this.#req = req;
    this.#connection = socket;
    this.#early = head;
  }

  override accept(contentType: string): PeerStream {
    this.accepted = true;
    let stream: Duplex | undefined;
    server.handleUpgrade(this.#req, this.#connection, this.#early, (socket) => {
      stream = createWebSocketStream(socket);
    });
    // The handshake was refused (no key, another version): the library has answered and closed.
    if (stream === undefined) throw new DOMException("no websocket handshake", "AbortError");
    const peer = stream;
    peer.on("error", () => peer.destroy());
    if (!contentType.includes("multiplexed")) return { input: peer, output: peer, socket: undefined };
    const output = new Unframer();
    output.pipe(peer);
    return { input: peer, output, socket: undefined };
  }
}

/** Engine API frames to their contents: stdout and stderr in one, as Docker's websocket has it. */
export class Unframer extends Transform {
  #header = Buffer.alloc(0);
  #left = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const end = Math.min(chunk.length, at + this.#left);
        // A copy: the writer uses its buffer again as soon as we have taken the chunk.
        this.push(Buffer.from(chunk.subarray(at, end)));
        this.#left -= end - at;
        at = end;
        continue;
      }
      const end = Math.min(chunk.length, at + headerSize - this.#header.length);
      this.#header = Buffer.concat([this.#header, chunk.subarray(at, end)]);
      at = end;
      if (this.#header.length < headerSize) break;
      this.#left = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    done();
  }
}
