import { connect as connectTcp, isIPv6, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** A stream connection to a log server: TCP, TLS or unix. */
export interface StreamTarget {
  host: string;
  port: number;
  /** Set: a unix socket instead. */
  path: string;
  tls?: ConnectionOptions | undefined;
}

const connectTimeoutMs = 10_000;
/** ms without the kernel taking a byte of ours: the server has stopped reading and the connection counts as broken. */
const writeTimeoutMs = 30_000;

const words: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ENOENT: "no such file or directory",
  ETIMEDOUT: "i/o timeout",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  EACCES: "permission denied",
  EPROTOTYPE: "protocol wrong type for socket",
  ECONNRESET: "connection reset by peer",
};

/** What went wrong as Go tells it. */
function dialError({ host, port, path }: StreamTarget, error: NodeJS.ErrnoException): Error {
  const code = error.code ?? "";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new Error(`dial tcp: lookup ${host}: no such host`, { cause: error });
  }
  const place = path !== "" ? `unix ${path}` : `tcp ${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const why = words[code];
  const text = why === undefined ? error.message : `dial ${place}: connect: ${why}`;
  return Object.assign(new Error(text, { cause: error }), { code });
}

const closedError = () => new Error("the log server closed the connection");

export class LogStream {
  readonly #target: StreamTarget;
  #socket: Socket | undefined;
  #broken: Error | undefined;
  /** Called with what the server says. */
  onData: ((data: Buffer) => void) | undefined;

  constructor(target: StreamTarget) {
    this.#target = target;
  }

  connect(): Promise<void> {
    this.close();
    this.#broken = undefined;
    const { host, port, path, tls } = this.#target;
    const place = path !== "" ? { path } : { host: host || "localhost", port };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = tls === undefined ? connectTcp(place) : connectTls({ ...place, ...tls });
    this.#socket = socket;
    const timer = setTimeout(() => socket.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" })), connectTimeoutMs);
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      socket.setTimeout(0);
      resolve();
    });
    // The end of a connection may be told after the next one was begun: it is not that one's.
    const lost = (error: Error) => {
      if (this.#socket === socket) this.#broken ??= error;
      reject(error);
    };
    socket.on("error", (error) => lost(dialError(this.#target, error)));
    socket.once("close", () => {
      clearTimeout(timer);
      lost(closedError());
    });
    // Flowing, or a server that has closed would not be noticed.
    socket.on("data", (data: Buffer) => this.onData?.(data));
    return promise;
  }

  /** Resolves when the kernel has all bytes. Rejects when the connection broke before. */
  write(bytes: Buffer, timeoutMs = writeTimeoutMs): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || this.#broken !== undefined)
      return Promise.reject(this.#broken ?? new Error("not connected"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(new Error("i/o timeout")), timeoutMs);
      const closed = () => end(this.#broken ?? closedError());
      const end = (error?: Error | null) => {
        clearTimeout(timer);
        socket.off("close", closed);
        if (error) reject(error);
        else resolve();
      };
      socket.once("close", closed);
      socket.write(bytes, end);
    });
  }

  get broken(): boolean {
    return this.#broken !== undefined || this.#socket === undefined;
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    // What has been written still goes out.
    socket?.removeAllListeners("data").destroySoon();
  }
}
