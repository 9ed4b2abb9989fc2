// A reader of a container's log that survives whatever comes between it and the engine: what a log collector has to do.
import { type IncomingMessage, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

export interface LogLine {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 with nine digits */
  readonly time: string;
  readonly text: string;
}

/** How far a stream has been read: the newest time, the records seen that bear it, and whether the last one ended its line. */
interface Position {
  time: string;
  count: number;
  isWhole: boolean;
}

const headerSize = 8;
const retryMs = 50;

/**
 * Follows a log over the Engine API and gives each record exactly once, asking again with `since` when it is cut off. `since`
 * counts records of that very nanosecond in, and lines that were written at once bear the same time; so the reader remembers how many
 * it has seen of the newest time. Long lines come in pieces that all bear the time of their first, and may stand behind
 * younger records of the other stream: so it remembers that for each stream, and asks from the older of both on.
 */
export class LogReader {
  readonly lines: LogLine[] = [];
  /** How often it was cut off. */
  cuts = 0;
  readonly #socket: string;
  readonly #container: string;
  readonly #positions = new Map<string, Position>();

  constructor(socket: string, container: string) {
    this.#socket = socket;
    this.#container = container;
  }

  /** Resolves when the container has ended and its log has been read. @throws on a refusal, and when aborted */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      const answer = await this.#ask(signal).catch((error: NodeJS.ErrnoException) => {
        signal.throwIfAborted();
        if (["ECONNREFUSED", "ENOENT", "ECONNRESET", "EPIPE"].includes(error.code ?? "")) return undefined;
        throw error;
      });
      if (answer !== undefined && (answer.statusCode ?? 0) >= 500) answer.destroy();
      else if (answer !== undefined && answer.statusCode !== 200) throw new Error(`logs: ${answer.statusCode}`);
      else if (answer !== undefined && (await this.#read(answer))) return;
      signal.throwIfAborted();
      this.cuts += 1;
      await pause(retryMs, undefined, { signal });
    }
  }

  #ask(signal: AbortSignal): Promise<IncomingMessage> {
    const path = `/containers/${this.#container}/logs?follow=1&stdout=1&stderr=1&timestamps=1&since=${this.#since()}`;
    return new Promise((resolve, reject) => {
      request({ socketPath: this.#socket, path, agent: false, signal }, resolve).once("error", reject).end();
    });
  }

  /** True when the engine has ended its answer itself. */
  async #read(answer: IncomingMessage): Promise<boolean> {
    // What this connection has shown of each stream's newest known time.
    const again = new Map([...this.#positions].map(([stream, position]) => [stream, { ...position }]));
    let rest = Buffer.alloc(0);
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        rest = Buffer.concat([rest, chunk]);
        for (;;) {
          const end = rest.length < headerSize ? Number.POSITIVE_INFINITY : headerSize + rest.readUInt32BE(4);
          if (rest.length < end) break;
          this.#take(rest[0] === 2 ? "stderr" : "stdout", rest.toString("utf8", headerSize, end), again);
          rest = rest.subarray(end);
        }
      }
      return answer.complete;
    } catch {
      return false;
    }
  }

  #take(stream: LogLine["stream"], record: string, again: Map<string, Position>): void {
    const space = record.indexOf(" ");
    const time = record.slice(0, space);
    const known = again.get(stream);
    if (known !== undefined && (time < known.time || (time === known.time && known.count > 0))) {
      if (time === known.time) known.count -= 1;
      return;
    }
    this.lines.push({ stream, time, text: record.slice(space + 1) });
    const position = this.#positions.get(stream);
    const count = position?.time === time ? position.count + 1 : 1;
    this.#positions.set(stream, { time, count, isWhole: record.endsWith("\n") });
  }

  /** Unix time with nine digits behind the point; "0" for everything. */
  #since(): string {
    const positions = [...this.#positions.values()];
    const newest = positions
      .map(({ time }) => time)
      .sort()
      .at(-1);
    if (newest === undefined) return "0";
    const [oldest = newest] = positions.flatMap(({ time, isWhole }) => (isWhole ? [] : [time])).sort();
    return `${Date.parse(`${oldest.slice(0, 19)}Z`) / 1000}.${oldest.slice(20, 29)}`;
  }
}
