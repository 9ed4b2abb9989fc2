// Engine API calls straight over the unix socket, for what the CLI can't say and for timing without it.
import { Agent, request } from "node:http";

export interface ApiAnswer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly bytes: Buffer;
  readonly text: string;
  readonly json: unknown;
}

export class Api {
  readonly #agent: Agent;
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 64 });
  }

  /** `body`: an archive as it is, anything else as JSON. */
  call(method: string, path: string, body?: unknown, timeoutMs = 60_000, more: object = {}): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const isArchive = Buffer.isBuffer(body);
      const payload = body === undefined || isArchive ? body : Buffer.from(JSON.stringify(body));
      const type = isArchive ? "application/x-tar" : "application/json";
      const ofBody = payload === undefined ? {} : { "content-type": type, "content-length": payload.length };
      const headers = { ...ofBody, ...more };
      const call = request(
        { socketPath: this.#socket, method, path, headers, agent: this.#agent, timeout: timeoutMs },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.once("error", reject);
          answer.once("end", () => {
            const bytes = Buffer.concat(chunks);
            const text = bytes.toString();
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes, text, json: parse(text) });
          });
        },
      );
      call.once("timeout", () => call.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)));
      call.once("error", reject);
      call.end(payload);
    });
  }

  /** Like call(), but an unexpected status is an error with the engine's message. */
  async must<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.call(method, path, body);
    if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.json as T;
  }

  close(): void {
    this.#agent.destroy();
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
