import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request, type Server } from "node:http";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@berth/log";
import { Api } from "../src/http/server.ts";

export interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
}

/** An Api at a socket of its own, gone with `close`. */
export class TestGateway {
  readonly api = new Api(createLogger({ service: "gateway-test", level: "silent" }));
  readonly dir = mkdtempSync(join(tmpdir(), "berth-gateway-"));
  readonly socket = join(this.dir, "berth.sock");
  readonly server = this.api.createServer();
  readonly #servers: (Server | NetServer)[] = [];
  readonly #connections = new Set<Socket>();

  async open(): Promise<this> {
    await this.#listen(this.server, this.socket);
    return this;
  }

  /** A container's monitor, as far as its protocol goes: reads the request's line, then does what the test says. */
  async monitor(name: string, serve: (socket: Socket, request: string) => void): Promise<string> {
    const path = join(this.dir, name);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      let seen = "";
      const onData = (chunk: Buffer) => {
        seen += chunk.toString("latin1");
        const end = seen.indexOf("\n");
        if (end === -1) return;
        socket.off("data", onData);
        socket.pause();
        const rest = seen.slice(end + 1);
        if (rest !== "") socket.unshift(Buffer.from(rest, "latin1"));
        serve(socket, seen.slice(0, end));
      };
      socket.on("data", onData);
    });
    await this.#listen(server, path);
    return path;
  }

  #listen(server: Server | NetServer, path: string): Promise<void> {
    this.#servers.push(server);
    server.on("connection", (socket: Socket) => {
      this.#connections.add(socket);
      socket.once("close", () => this.#connections.delete(socket));
    });
    return new Promise((resolve) => server.listen(path, resolve));
  }

  call(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const req = request({ socketPath: this.socket, method, path, headers, agent: false }, (res) => {
        const chunks: Buffer[] = [];
        res.on("data", (chunk: Buffer) => chunks.push(chunk));
        res.on("error", reject);
        res.on("end", () =>
          resolve({ status: res.statusCode ?? 0, headers: res.headers, text: Buffer.concat(chunks).toString() }),
        );
      });
      req.on("error", reject);
      req.end(body);
    });
  }

  /** A raw connection that has sent a request to be upgraded. */
  upgrade(path: string, body = ""): Socket {
    const socket = connect({ path: this.socket, allowHalfOpen: true });
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    return socket;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Everything until the other side's end. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The headers of an answer and what follows them. */
export function splitAnswer(answer: Buffer): { head: string; body: Buffer } {
  const end = answer.indexOf("\r\n\r\n");
  return { head: answer.subarray(0, end).toString(), body: answer.subarray(end + 4) };
}
