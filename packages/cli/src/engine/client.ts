import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Duplex } from "node:stream";
import type { Address } from "./address.ts";

/** The engine answered with an error, or could not be reached (status 0). */
export class EngineError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Params = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface CallOptions {
  query?: Params;
  body?: unknown;
  /** Sent as it is, for archives. */
  upload?: AsyncIterable<Uint8Array>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The Engine API, over whatever leads to it. */
export class Engine {
  readonly address: Address;

  constructor(address: Address) {
    this.address = address;
  }

  /** Calls and reads the whole answer as JSON. @throws EngineError */
  async json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const answer = await this.open(method, path, options);
    const text = await textOf(answer);
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  /** Calls for its effect. 304 (nothing to do) is as good as done. @throws EngineError */
  async run(method: string, path: string, options: CallOptions = {}): Promise<void> {
    const answer = await this.open(method, path, options);
    answer.resume();
    await new Promise((resolve) => answer.once("close", resolve));
  }

  /** Calls and gives the answer as a stream, once its status is good. @throws EngineError */
  async open(method: string, path: string, options: CallOptions = {}): Promise<IncomingMessage> {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      this.#send(method, path, options, reject).once("response", resolve);
    });
    const status = answer.statusCode ?? 0;
    if (status >= 400) throw new EngineError(status, messageOf(await textOf(answer), status));
    return answer;
  }

  /** Takes the connection over as a stream (attach, exec). @throws EngineError */
  async hijack(path: string, options: CallOptions = {}): Promise<{ socket: Duplex; framed: boolean }> {
    const headers = { ...options.headers, Connection: "Upgrade", Upgrade: "tcp" };
    return new Promise((resolve, reject) => {
      const req = this.#send("POST", path, { ...options, headers }, reject);
      req.once("upgrade", (answer, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve({ socket, framed: answer.headers["content-type"] === "application/vnd.docker.multiplexed-stream" });
      });
      req.once("response", (answer) => {
        const status = answer.statusCode ?? 0;
        textOf(answer).then((text) => reject(new EngineError(status, messageOf(text, status))), reject);
      });
    });
  }

  #send(method: string, path: string, options: CallOptions, reject: (error: Error) => void): ClientRequest {
    const { body, upload, query = {}, signal } = options;
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string | number> = { Host: "berth", ...options.headers };
    if (payload !== undefined)
      Object.assign(headers, { "Content-Type": "application/json", "Content-Length": payload.length });
    else if (upload !== undefined)
      Object.assign(headers, { "Content-Type": "application/x-tar", "Transfer-Encoding": "chunked" });
    else if (method === "POST") headers["Content-Length"] = 0;
    const request: RequestOptions = {
      method,
      path: path + queryText(query),
      headers,
      ...this.address.options,
      agent: false,
    };
    if (signal !== undefined) request.signal = signal;
    const { tls } = this.address;
    // Not imported: an import of node:http reads all its exports, one of which loads a whole WebSocket client (40 ms).
    const req =
      tls === undefined
        ? process.getBuiltinModule("node:http").request(request)
        : process.getBuiltinModule("node:https").request({ ...request, ...tls });
    req.setNoDelay(true);
    req.on("error", (error: NodeJS.ErrnoException) => reject(this.#explain(error)));
    if (upload === undefined) req.end(payload);
    else void pipeUpload(upload, req).catch((error: unknown) => req.destroy(error as Error));
    return req;
  }

  #explain(error: NodeJS.ErrnoException): Error {
    if (error.name === "AbortError") return error;
    const { text } = this.address;
    if (error.code === "EACCES")
      return new EngineError(0, `permission denied while trying to connect to the engine at ${text}`);
    if (error.code === "ENOENT" || error.code === "ECONNREFUSED") {
      return new EngineError(0, `Cannot connect to the engine at ${text}. Is it running? ("npm start" starts one)`);
    }
    return new EngineError(0, `lost the connection to the engine at ${text}: ${error.message}`);
  }
}

async function pipeUpload(source: AsyncIterable<Uint8Array>, req: ClientRequest): Promise<void> {
  for await (const chunk of source) {
    if (!req.write(chunk)) await new Promise<void>((resolve) => req.once("drain", resolve));
  }
  req.end();
}

function queryText(query: Params): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === false || value === "") continue;
    if (typeof value === "object") for (const item of value) search.append(key, item);
    else search.append(key, value === true ? "1" : String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

export async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** The lines of a stream of JSON values. */
export async function* jsonLines<T>(answer: AsyncIterable<Buffer>): AsyncGenerator<T> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
  }
  if (rest.trim() !== "") yield JSON.parse(rest) as T;
}

function messageOf(text: string, status: number): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message;
  } catch {
    // A stream's refusal is plain text.
  }
  return text.trim() || `the engine answered ${status}`;
}
