import { connect, type Socket } from "node:net";
import type { Duplex, Writable } from "node:stream";
import { BerthError, errorMessage } from "@berth/errors";
import type { LocalStream } from "../rpc/types.ts";

/** bytes; the monitor's answers are short (native/isolation/PROTOCOL.md). */
const maxAnswer = 65_536;
/** ms that a client is given to take its last bytes and close after the container's stream has ended. */
const lingerMs = 2_000;
/** bytes of the one buffer that a container's output passes through; larger ones were no faster here. */
const bufferSize = 256 * 1024;

export interface MonitorError {
  /** errno's name */
  code?: string;
  call?: string;
  object?: string;
  message?: string;
}

export interface MonitorAnswer {
  ok: boolean;
  exitCode?: number;
  /** Where the log ends and the stream begins, for an attach that shows the log first. */
  log?: { file: string; offset: number };
  error?: MonitorError;
}

/** Buffers of connections that have closed, for the next ones: making one costs more than a short exec's whole output. */
const spareBuffers: Buffer[] = [];
const maxSpare = 8;

/**
 * A connection to a container's monitor. Output is read into one buffer that is used again as soon as the client has
 * taken its bytes: hundreds of megabytes pass without an allocation, and a client that stops reading stops the
 * container.
 */
export class MonitorConnection {
  readonly socket: Socket;
  #line: Buffer = Buffer.alloc(0);
  #onLine: ((line: Buffer | undefined) => void) | undefined;
  #output: Writable | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;
  readonly #end: Promise<void>;

  private constructor(path: string) {
    const callback = (length: number, buffer: Uint8Array): boolean => this.#take(buffer as Buffer, length);
    const buffer = spareBuffers.pop() ?? Buffer.allocUnsafeSlow(bufferSize);
    this.socket = connect({ path, allowHalfOpen: true, onread: { buffer, callback } });
    this.socket.once("close", () => this.#giveBack(buffer));
    this.#end = new Promise((resolve) => this.socket.once("end", resolve).once("close", resolve));
    void this.#end.then(() => {
      this.#ended = true;
      this.#onLine?.(undefined);
    });
  }

  /** Connects; {@link request} is next. @throws UNAVAILABLE */
  static async open(local: LocalStream, signal: AbortSignal): Promise<MonitorConnection> {
    signal.throwIfAborted();
    const connection = new MonitorConnection(local.socket);
    const { socket } = connection;
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    } catch (error) {
      socket.destroy();
      const message = `the container's monitor does not answer: ${errorMessage(error)}`;
      throw new BerthError("UNAVAILABLE", message, {}, { cause: error });
    }
    socket.on("error", () => socket.destroy());
    return connection;
  }

  request(local: LocalStream): void {
    this.socket.write(local.request);
    // Flowing, or the end of a connection that never said anything would not be seen.
    this.socket.resume();
  }

  /** The monitor's line. What follows it waits for {@link pumpTo}. @throws UNAVAILABLE, INTERNAL */
  async answer(): Promise<MonitorAnswer> {
    const line = await new Promise<Buffer | undefined>((resolve) => {
      this.#onLine = resolve;
      if (this.#ended) resolve(undefined);
    });
    this.#onLine = undefined;
    if (line === undefined) throw new BerthError("UNAVAILABLE", "the container's monitor closed the connection");
    return JSON.parse(line.toString("utf8")) as MonitorAnswer;
  }

  /** Writes all output to `output`; resolves when the container's side has ended and everything is handed over. */
  async pumpTo(output: Writable): Promise<void> {
    if (this.#rest.length > 0) output.write(this.#rest);
    this.#output = output;
    if (!this.#ended) this.socket.resume();
    await this.#end;
  }

  /** Called with what was read. False: read no more until resume(). */
  #take(buffer: Buffer, length: number): boolean {
    const chunk = buffer.subarray(0, length);
    const output = this.#output;
    if (output === undefined) {
      this.#takeLine(chunk);
      return false;
    }
    if (output.destroyed) return false;
    // Nothing waiting means that the kernel has the bytes, and the buffer is free again.
    const isFree = () => output.writableLength === 0;
    output.write(chunk, () => {
      if (isFree()) this.socket.resume();
    });
    return isFree();
  }

  /** Only when nothing of it can be on its way to a client any more. */
  #giveBack(buffer: Buffer): void {
    const output = this.#output;
    const isFree = output === undefined || (!output.destroyed && output.writableLength === 0);
    if (isFree && spareBuffers.length < maxSpare) spareBuffers.push(buffer);
  }

  #takeLine(chunk: Buffer): void {
    this.#line = Buffer.concat([this.#line, chunk]);
    const end = this.#line.indexOf(10);
    if (end === -1 && this.#line.length <= maxAnswer) {
      process.nextTick(() => this.socket.resume());
      return;
    }
    this.#rest = this.#line.subarray(end + 1);
    this.#onLine?.(this.#line.subarray(0, Math.max(0, end)));
  }
}

/**
 * Joins a client with a container until the container's side ends. Each side's end of writing is passed on alone
 * (half-close); a side that does not read stops the other one's writer.
 */
export async function splice(client: Duplex, container: MonitorConnection): Promise<void> {
  client.pipe(container.socket);
  client.once("close", () => container.socket.destroy());
  await container.pumpTo(client);
  container.socket.destroy();
  await lingerThenClose(client);
}

/**
 * Ends our side and waits for the client's: closing a connection with unread input makes the kernel throw away output
 * that the client has not read yet.
 */
export function lingerThenClose(client: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (client.destroyed) {
      resolve();
      return;
    }
    const close = () => {
      clearTimeout(timer);
      client.destroy();
      resolve();
    };
    let timer: NodeJS.Timeout | undefined;
    client.unpipe();
    client.on("data", () => {});
    client.once("close", close);
    client.end(() => {
      timer = setTimeout(close, lingerMs);
      if (client.readableEnded) close();
      else client.once("end", close);
    });
  });
}
