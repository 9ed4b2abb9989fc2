import { randomBytes } from "node:crypto";
import { chmod, mkdir, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { BerthError } from "@berth/errors";
import type { Upload } from "../domain/blobs/upload.ts";

/** ms that a caller has to connect, and to say which upload it means */
const patience = 10_000;
const tokenBytes = 16;
const lineLength = tokenBytes * 2 + 1;

interface Pending {
  upload: Upload;
  done: PromiseWithResolvers<void>;
  socket: Socket | undefined;
}

/**
 * Takes the bytes of uploads over a unix socket, for callers on this host: gRPC costs them five times the processor time.
 * A caller sends the token that its WriteBlob call was given and a newline, gets a line of JSON, and sends the bytes. The
 * end of the stream is the end of the bytes; whether they are all there, and right, is still decided by the call's commit.
 */
export class LocalUploads {
  readonly socket: string;
  readonly #server: Server;
  readonly #pending = new Map<string, Pending>();
  readonly #connections = new Set<Socket>();

  private constructor(socket: string) {
    this.socket = socket;
    this.#server = createServer({ allowHalfOpen: true }, (connection) => this.#greet(connection));
  }

  static async open(socket: string): Promise<LocalUploads> {
    const uploads = new LocalUploads(socket);
    await mkdir(dirname(socket), { recursive: true });
    await rm(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      uploads.#server.once("error", reject);
      uploads.#server.listen(socket, resolve);
    });
    await chmod(socket, 0o600);
    return uploads;
  }

  /** Lets a caller send an upload's bytes. `ended` resolves at the end of the stream, rejects when it breaks. */
  offer(upload: Upload): { request: Buffer; ended: Promise<void>; withdraw: () => void } {
    const token = randomBytes(tokenBytes).toString("hex");
    const pending: Pending = { upload, done: Promise.withResolvers(), socket: undefined };
    pending.done.promise.catch(() => {});
    this.#pending.set(token, pending);
    const withdraw = (): void => {
      this.#pending.delete(token);
      pending.socket?.destroy();
      pending.done.reject(new BerthError("CANCELLED", "the upload has ended"));
    };
    return { request: Buffer.from(`${token}\n`), ended: pending.done.promise, withdraw };
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #greet(connection: Socket): void {
    let line = Buffer.alloc(0);
    this.#connections.add(connection);
    connection.once("close", () => this.#connections.delete(connection));
    connection.on("error", () => connection.destroy());
    connection.setTimeout(patience, () => connection.destroy());
    const onData = (chunk: Buffer): void => {
      line = Buffer.concat([line, chunk]);
      if (line.length < lineLength) return;
      connection.off("data", onData);
      connection.setTimeout(0);
      const token = line.subarray(0, lineLength - 1).toString("latin1");
      const pending = line[lineLength - 1] === 0x0a ? this.#pending.get(token) : undefined;
      if (pending === undefined || pending.socket !== undefined) {
        connection.end(`${JSON.stringify({ ok: false, message: "no such upload" })}\n`);
        return;
      }
      this.#pending.delete(token);
      pending.socket = connection;
      connection.write('{"ok":true}\n');
      receive(connection, pending, line.subarray(lineLength));
    };
    connection.on("data", onData);
  }
}

/** Hands what comes to the upload; while that has enough waiting for the disk, the socket is not read. */
function receive(connection: Socket, { upload, done }: Pending, first: Buffer): void {
  const fail = (error: unknown): void => {
    done.reject(error);
    connection.destroy();
  };
  const take = (chunk: Buffer): void => {
    try {
      const room = upload.write(chunk, true);
      if (room === undefined) return;
      connection.pause();
      room.then(() => connection.resume(), fail);
    } catch (error) {
      fail(error);
    }
  };
  take(first);
  connection.on("data", take);
  connection.once("end", () => {
    done.resolve();
    connection.end();
  });
  connection.once("close", () => done.reject(new BerthError("UNAVAILABLE", "the upload's stream broke off")));
}
