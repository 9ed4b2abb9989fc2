import { readFileSync, watch } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { dirname } from "node:path";
import type { TLSSocket } from "node:tls";
import { BerthError, errorMessage, httpStatus, isBerthError } from "@berth/errors";
import { identityIn, maxBodyBytes, readJoinRequest, readRenewRequest } from "@berth/identity";
import type { Logger } from "@berth/log";
import { issuedAtOf, type Membership } from "../domain/membership.ts";

export interface ListenerOptions {
  membership: Membership;
  host: string;
  port: number;
  /** PEM: key and certificate, with the authority's own behind it. Read again when it changes. */
  identityFile: string;
  caFile: string;
  log: Logger;
}

/** A host's requests are one small message each; more time than this none needs, ms. */
const requestTimeoutMs = 15_000;
const maxConnections = 256;
/** Between a change of the file and its reading: it is replaced in one step, but others beside it change too. ms */
const settleMs = 50;

/** Where hosts join and renew (packages/identity, protocol.ts). */
export class JoinListener {
  readonly #server: Server;
  readonly #options: ListenerOptions;
  readonly #stopWatching: () => void;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const timeouts = { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, maxHeaderSize: 8192 };
    // Who joins has no certificate yet; who renews is asked for it in the handler.
    const rules = { requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" as const };
    this.#server = createServer(
      { ...this.#context(), ...timeouts, ...rules },
      (req, res) => void this.#serve(req, res),
    );
    this.#server.maxConnections = maxConnections;
    this.#stopWatching = this.#follow();
  }

  static async open(options: ListenerOptions): Promise<JoinListener> {
    const listener = new JoinListener(options);
    await new Promise<void>((resolve, reject) => {
      listener.#server.once("error", reject);
      listener.#server.listen(options.port, options.host, resolve);
    });
    return listener;
  }

  async close(): Promise<void> {
    this.#stopWatching();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #context() {
    const { identityFile, caFile } = this.#options;
    const identity = readFileSync(identityFile);
    return { key: identity, cert: identity, ca: readFileSync(caFile) };
  }

  /** New certificates serve new connections. */
  #follow(): () => void {
    let timer: NodeJS.Timeout | undefined;
    const watcher = watch(dirname(this.#options.identityFile), () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        try {
          this.#server.setSecureContext(this.#context());
        } catch (error) {
          this.#options.log.error({ err: error }, "the new certificate can't be used; the old one is kept");
        }
      }, settleMs);
    });
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { log, membership } = this.#options;
    const from = req.socket.remoteAddress;
    try {
      const answer = await this.#answer(req, membership);
      log.info({ from, path: req.url }, "certificates given");
      send(res, 200, answer);
    } catch (error) {
      const reason = isBerthError(error) ? error.reason : "INTERNAL";
      const message = isBerthError(error) ? error.message : "the authority failed; its log says why";
      if (reason === "INTERNAL") log.error({ from, path: req.url, err: error }, "a host's request failed");
      else log.warn({ from, path: req.url, reason }, `a host was refused: ${errorMessage(error)}`);
      send(res, httpStatus({ reason }), { reason, message });
    }
  }

  async #answer(req: IncomingMessage, membership: Membership): Promise<object> {
    if (req.method !== "POST") throw new BerthError("INVALID_ARGUMENT", "expected POST");
    if (req.url === "/join") return membership.join(readJoinRequest(await readBody(req)));
    if (req.url !== "/renew") throw new BerthError("NOT_FOUND", "there is nothing here");
    const socket = req.socket as TLSSocket;
    const certificate = socket.getPeerCertificate();
    const identity = socket.authorized ? identityIn(certificate.subjectaltname) : undefined;
    if (identity === undefined)
      throw new BerthError("UNAUTHENTICATED", `no certificate of this engine was shown (${whyNot(socket)})`);
    return membership.renew(readRenewRequest(await readBody(req)), identity, issuedAtOf(certificate.valid_from));
  }
}

const whyNot = (socket: TLSSocket): string => String(socket.authorizationError ?? "none at all");

async function readBody(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req) {
    size += (chunk as Buffer).length;
    if (size > maxBodyBytes)
      throw new BerthError("INVALID_ARGUMENT", `the request is longer than ${maxBodyBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new BerthError("INVALID_ARGUMENT", "the request is not JSON");
  }
}

function send(res: ServerResponse, status: number, value: object): void {
  if (res.destroyed) return;
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { "content-type": "application/json", "content-length": body.length, connection: "close" });
  res.end(body);
}
