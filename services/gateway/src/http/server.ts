import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { BerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import { failureOf, sendError, sendJson, serverHeader } from "./answer.ts";
import { Call, type Handler, type HijackHandler, type UploadHandler } from "./call.ts";
import { PlainPeer, UpgradePeer } from "./hijack.ts";
import { type CleanPath, cleanPath } from "./path.ts";
import { Query } from "./query.ts";
import { Router } from "./router.ts";
import { dropRest, endAfterBody, endGently, hasBody, skim } from "./unread.ts";
import { isLargeBody, Upload, uploadAware } from "./upload.ts";
import { maxVersionText, minVersionText, splitVersion } from "./version.ts";
import { isWebSocket, WebSocketPeer } from "./websocket.ts";

export interface TlsOptions {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
}

/** What the engine answers to: handlers by method and path, and those that take connections over. */
export class Api {
  readonly #handlers = new Router<Handler>();
  readonly #hijackers = new Router<HijackHandler>();
  readonly #webSockets = new Router<HijackHandler>();
  readonly #uploads = new Router<UploadHandler>();
  /** Connections whose next request is to be served like any other. */
  readonly #replayed = new WeakSet<Duplex>();
  /** Those requests, once met. */
  readonly #ordinary = new WeakSet<IncomingMessage>();
  /** Connections that have become streams, which no server knows any more. */
  readonly #streams = new Set<Duplex>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  on(method: string, path: string, handler: Handler): void {
    this.#handlers.add(method, path, handler);
  }

  /** A GET that becomes a websocket: the handler gets its messages as a stream. */
  onWebSocket(path: string, handler: HijackHandler): void {
    this.#webSockets.add("GET", path, handler);
  }

  /** A PUT with a large body, which the handler may give away unread; one that does not has it served by what {@link on} named. */
  onUpload(path: string, handler: UploadHandler): void {
    this.#uploads.add("PUT", path, handler);
  }

  onHijack(path: string, handler: HijackHandler): void {
    this.#hijackers.add("POST", path, handler);
  }

  /** A server that is not listening yet. With `tls` every client must show a certificate of `ca`. */
  createServer(tls?: TlsOptions): Server {
    const options = {
      // Registry credentials travel in a header; identity tokens are long.
      maxHeaderSize: 131_072,
      headersTimeout: 20_000,
      // Uploads of images take as long as they take; small bodies have a bound of their own (body.ts).
      requestTimeout: 0,
      keepAliveTimeout: 65_000,
      // Only streams are upgraded; `Upgrade: h2c` on an ordinary call (curl --http2) is ignored, as HTTP asks.
      shouldUpgradeCallback: (req: IncomingMessage) => this.#isUpload(req) || this.#isHijack(req),
      IncomingMessage: uploadAware((req) => this.#isUpload(req)),
    };
    const listener: RequestListener = (req, res) => void this.#serve(req, res);
    const server: Server =
      tls === undefined
        ? createServer(options, listener)
        : // allowHalfOpen: a client that closes its side (end of stdin) still wants the output.
          (createTlsServer({ ...options, ...tls, ...tlsRules, allowHalfOpen: true }, listener) as unknown as Server);
    server.on("upgrade", (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      // One that carried an upload comes here again with its next.
      if (!this.#streams.has(socket)) {
        this.#streams.add(socket);
        socket.once("close", () => this.#streams.delete(socket));
      }
      if (req.method === "PUT") void this.#receive(server, req, socket as Socket, head);
      else void this.#upgrade(req, socket, head);
    });
    server.on("clientError", (_error: Error, socket: Duplex) => refuseGarbage(socket));
    return server;
  }

  /** Ends every stream there is: one that its client keeps open would keep this process. */
  cutStreams(): void {
    for (const socket of this.#streams) socket.destroy();
  }

  /** Asked about a request before it is served, and again with each piece of its body: its connection's replay is forgotten by then. */
  #isUpload(req: IncomingMessage): boolean {
    if (req.method !== "PUT") return false;
    if (this.#replayed.has(req.socket)) this.#ordinary.add(req);
    if (this.#ordinary.has(req) || !isLargeBody(req)) return false;
    const { path, refused } = splitVersion(pathOf(req));
    return refused === undefined && this.#uploads.find("PUT", path) !== undefined;
  }

  async #receive(server: Server, req: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const upload = new Upload(req, socket, head, (next) => server.emit("connection", next));
    try {
      const { path, minor } = splitVersion(pathOf(req));
      const found = this.#uploads.find("PUT", path);
      const call = { upload, query: new Query(queryOf(req)), name: found?.name ?? "", minor };
      if (found !== undefined && (await found.handler(call))) return;
    } catch (error) {
      // What fails before the body has been given away fails again, with the body at hand.
      if (upload.given) {
        this.#note(req, error);
        upload.refuse(error);
        return;
      }
    }
    this.#replayed.add(socket);
    upload.replay();
  }

  #isHijack(req: IncomingMessage): boolean {
    if (req.method === "GET" && isWebSocket(req))
      return this.#webSockets.find("GET", splitVersion(pathOf(req)).path) !== undefined;
    return req.method === "POST" && this.#hijackers.find("POST", splitVersion(pathOf(req)).path) !== undefined;
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // Pipelined behind the last request of a connection: there is no way to answer it.
    if (req.socket.writableEnded) return;
    if (hasBody(req)) endAfterBody(req);
    try {
      await this.#handle(req, res);
    } catch (error) {
      this.#note(req, error);
      if (res.headersSent && !res.destroyed)
        this.#log.warn({ method: req.method, path: pathOf(req), err: error }, "an answer was broken off");
      await skim(req);
      sendError(res, error);
    } finally {
      if (res.writableEnded) dropRest(req);
    }
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const target = cleanPath(pathOf(req));
    if (target.kind !== "clean") {
      refusePath(res, target, queryOf(req));
      return;
    }
    const { path, minor, refused } = splitVersion(target.path);
    const method = req.method ?? "GET";
    this.#replayed.delete(req.socket);
    const found = this.#handlers.find(method, path);
    const hijack = found === undefined && method === "POST" ? this.#hijackers.find("POST", path) : undefined;
    if (found === undefined && hijack === undefined) {
      notFound(res, method);
      return;
    }
    if (refused !== undefined) {
      refuseVersion(res, refused.reason, refused.version);
      return;
    }
    const query = new Query(queryOf(req));
    if (found !== undefined) await found.handler(new Call(req, res, query, found.name ?? "", minor));
    else await hijack?.handler({ peer: new PlainPeer(req, res), query, name: hijack.name ?? "", minor });
  }

  async #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const webSocket = req.method === "GET";
    const peer = webSocket ? new WebSocketPeer(req, socket, head) : new UpgradePeer(req, socket, head);
    try {
      const { path, minor, refused } = splitVersion(pathOf(req));
      const found = webSocket ? this.#webSockets.find("GET", path) : this.#hijackers.find("POST", path);
      if (found === undefined) throw new BerthError("NOT_FOUND", "page not found");
      if (refused !== undefined)
        throw new BerthError("INVALID_ARGUMENT", versionMessage(refused.reason, refused.version));
      await found.handler({ peer, query: new Query(queryOf(req)), name: found.name ?? "", minor });
    } catch (error) {
      this.#note(req, error);
      if (peer.accepted) socket.destroy();
      else peer.refuse(error, false);
    }
  }

  /** What went wrong inside the engine is logged; what the client did wrong it is told. */
  #note(req: IncomingMessage, error: unknown): void {
    const { status, message } = failureOf(error);
    if (status >= 500 && status !== 501 && status !== 503) {
      this.#log.error({ method: req.method, path: pathOf(req), err: error }, message);
    }
  }
}

const tlsRules = { requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" } as const;

function pathOf(req: IncomingMessage): string {
  // A proxy's request has the whole address in front.
  const url = (req.url ?? "/").replace(/^https?:\/\/[^/?]*/i, "") || "/";
  const end = url.indexOf("?");
  return end === -1 ? url : url.slice(0, end);
}

function queryOf(req: IncomingMessage): string {
  const url = req.url ?? "/";
  const start = url.indexOf("?");
  return start === -1 ? "" : url.slice(start + 1);
}

function refuseVersion(res: ServerResponse, reason: "too-old" | "too-new", version: string): void {
  const headers = {
    "Api-Version": maxVersionText,
    Ostype: "linux",
    Server: serverHeader,
    "X-Content-Type-Options": "nosniff",
  };
  const message = versionMessage(reason, version);
  const body = reason === "too-old" ? `${message}\n` : `${JSON.stringify({ message })}\n`;
  const type = reason === "too-old" ? "text/plain; charset=utf-8" : "application/json";
  res.writeHead(400, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

function versionMessage(reason: "too-old" | "too-new", version: string): string {
  return reason === "too-old"
    ? `client version ${version} is too old. Minimum supported API version is ${minVersionText}, please upgrade your client to a newer version`
    : `client version ${version} is too new. Maximum supported API version is ${maxVersionText}`;
}

/** Another spelling of a path is sent to the one that counts; one that can't be decoded is no request at all. */
function refusePath(res: ServerResponse, target: Exclude<CleanPath, { kind: "clean" }>, query: string): void {
  if (target.kind === "broken") {
    const body = "400 Bad Request";
    res.writeHead(400, { "Content-Type": "text/plain; charset=utf-8", Connection: "close" });
    res.end(body);
    return;
  }
  res.writeHead(301, { Location: query === "" ? target.path : `${target.path}?${query}`, "Content-Length": 0 });
  res.end();
}

function notFound(res: ServerResponse, method: string): void {
  if (method === "OPTIONS") {
    res.writeHead(200, { "Api-Version": maxVersionText, Ostype: "linux", Server: serverHeader, "Content-Length": 0 });
    res.end();
    return;
  }
  sendJson(res, 404, { message: "page not found" });
}

function refuseGarbage(socket: Duplex): void {
  if (socket.destroyed || socket.writableEnded) return;
  // An answer is on its way already, and another would be taken for a part of it.
  if ((socket as Socket).bytesWritten > 0) {
    endGently(socket, "");
    return;
  }
  const text =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request";
  endGently(socket, text);
}
