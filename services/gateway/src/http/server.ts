import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import { BerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import { failureOf, sendError, sendJson, serverHeader } from "./answer.ts";
import { Call, type Handler, type HijackHandler } from "./call.ts";
import { PlainPeer, UpgradePeer } from "./hijack.ts";
import { Query } from "./query.ts";
import { Router } from "./router.ts";
import { maxVersionText, minVersionText, splitVersion } from "./version.ts";

export interface TlsOptions {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
}

/** What the engine answers to: handlers by method and path, and those that take connections over. */
export class Api {
  readonly #handlers = new Router<Handler>();
  readonly #hijackers = new Router<HijackHandler>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  on(method: string, path: string, handler: Handler): void {
    this.#handlers.add(method, path, handler);
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
      shouldUpgradeCallback: (req: IncomingMessage) => this.#isHijack(req),
    };
    const listener: RequestListener = (req, res) => void this.#serve(req, res);
    const server: Server =
      tls === undefined
        ? createServer(options, listener)
        : // allowHalfOpen: a client that closes its side (end of stdin) still wants the output.
          (createTlsServer({ ...options, ...tls, ...tlsRules, allowHalfOpen: true }, listener) as unknown as Server);
    server.on("upgrade", (req: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(req, socket, head));
    server.on("clientError", (_error: Error, socket: Duplex) => refuseGarbage(socket));
    return server;
  }

  #isHijack(req: IncomingMessage): boolean {
    const version = splitVersion(pathOf(req));
    return req.method === "POST" && version.ok && this.#hijackers.find("POST", version.path) !== undefined;
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = pathOf(req);
    const version = splitVersion(path);
    if (!version.ok) {
      refuseVersion(res, version.reason, version.version);
      return;
    }
    const method = req.method ?? "GET";
    const found = this.#handlers.find(method, version.path);
    try {
      if (found !== undefined) {
        await found.handler(new Call(req, res, new Query(queryOf(req)), found.name ?? "", version.minor));
        return;
      }
      const hijack = method === "POST" ? this.#hijackers.find("POST", version.path) : undefined;
      if (hijack !== undefined) {
        const peer = new PlainPeer(req, res);
        await hijack.handler({ peer, query: new Query(queryOf(req)), name: hijack.name ?? "", minor: version.minor });
        return;
      }
      notFound(res, method);
    } catch (error) {
      this.#note(req, error);
      sendError(res, error);
    }
  }

  async #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const peer = new UpgradePeer(req, socket, head);
    try {
      const version = splitVersion(pathOf(req));
      const found = version.ok ? this.#hijackers.find("POST", version.path) : undefined;
      if (!version.ok || found === undefined) throw new BerthError("NOT_FOUND", "page not found");
      await found.handler({ peer, query: new Query(queryOf(req)), name: found.name ?? "", minor: version.minor });
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
  const url = req.url ?? "/";
  const end = url.indexOf("?");
  return end === -1 ? url : url.slice(0, end);
}

function queryOf(req: IncomingMessage): string {
  const url = req.url ?? "/";
  const start = url.indexOf("?");
  return start === -1 ? "" : url.slice(start + 1);
}

function refuseVersion(res: ServerResponse, reason: "too-old" | "too-new", version: string): void {
  const headers = { "Api-Version": maxVersionText, Ostype: "linux", Server: serverHeader };
  const message =
    reason === "too-old"
      ? `client version ${version} is too old. Minimum supported API version is ${minVersionText}, please upgrade your client to a newer version`
      : `client version ${version} is too new. Maximum supported API version is ${maxVersionText}`;
  const body = reason === "too-old" ? `${message}\n` : `${JSON.stringify({ message })}\n`;
  const type = reason === "too-old" ? "text/plain; charset=utf-8" : "application/json";
  res.writeHead(400, { ...headers, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  res.end(body);
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
  if (socket.destroyed) return;
  const text =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request";
  socket.end(text, () => socket.destroy());
}
