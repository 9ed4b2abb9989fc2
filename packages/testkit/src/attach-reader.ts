// A client that stays attached to a container whatever comes between it and the engine: cut off, it attaches again and is shown all from the beginning.
import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";

const headerSize = 8;
const stdout = 1;
const retryMs = 50;

/** Attaches with the log replayed, over and over, until a connection has brought the `last` line. */
export class AttachReader {
  /** What the newest connection brought of stdout, line by line; what was shown before it is shown again by each. */
  lines: string[] = [];
  /** How often it was cut off. */
  cuts = 0;
  readonly #socket: string;
  readonly #container: string;

  constructor(socket: string, container: string) {
    this.#socket = socket;
    this.#container = container;
  }

  /** @param check looks at the lines of each connection at its end, and throws what is wrong with them */
  async run(
    isLast: (line: string) => boolean,
    check: (lines: readonly string[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      const stream = await this.#attach(signal).catch((error: NodeJS.ErrnoException) => {
        signal.throwIfAborted();
        if (["ECONNREFUSED", "ENOENT", "ECONNRESET", "EPIPE"].includes(error.code ?? "")) return undefined;
        throw error;
      });
      if (stream !== undefined) {
        await this.#read(stream, signal);
        check(this.lines);
        if (isLast(this.lines.at(-1) ?? "")) return;
      }
      signal.throwIfAborted();
      this.cuts += 1;
      await pause(retryMs, undefined, { signal });
    }
  }

  /** Undefined when the engine has nobody who can answer now. */
  #attach(signal: AbortSignal): Promise<Duplex | undefined> {
    const path = `/containers/${this.#container}/attach?logs=1&stream=1&stdout=1&stderr=1`;
    const headers = { connection: "Upgrade", upgrade: "tcp" };
    const options = { socketPath: this.#socket, method: "POST", path, headers, agent: false as const, signal };
    return new Promise((resolve, reject) => {
      const refused = (answer: IncomingMessage) => {
        answer.resume();
        if ((answer.statusCode ?? 0) >= 500) resolve(undefined);
        else reject(new Error(`attach: ${answer.statusCode}`));
      };
      request(options)
        .once("upgrade", (_, stream, head) => {
          stream.unshift(head);
          resolve(stream);
        })
        .once("response", refused)
        .once("error", reject)
        .end();
    });
  }

  async #read(stream: Duplex, signal: AbortSignal): Promise<void> {
    this.lines = [];
    const abort = () => stream.destroy();
    signal.addEventListener("abort", abort, { once: true });
    let frames = Buffer.alloc(0);
    let text = "";
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        frames = Buffer.concat([frames, chunk]);
        for (;;) {
          const end = frames.length < headerSize ? Number.POSITIVE_INFINITY : headerSize + frames.readUInt32BE(4);
          if (frames.length < end) break;
          // On stderr the engine says why it can't go on.
          if (frames[0] === stdout) text += frames.toString("utf8", headerSize, end);
          frames = frames.subarray(end);
        }
        const whole = text.split("\n");
        text = whole.pop() ?? "";
        this.lines.push(...whole);
      }
    } catch {
      // Cut off; what came stands.
    } finally {
      signal.removeEventListener("abort", abort);
      stream.destroy();
    }
  }
}
