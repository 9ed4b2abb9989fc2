import { BerthError } from "@berth/errors";
import { Agent, type Dispatcher, request } from "undici";
import { connectionFailure, parseFaults, RegistryError } from "./failure.ts";

/** ms: to connect; to the first byte of an answer; between two pieces of a body. */
export interface Timeouts {
  connect: number;
  headers: number;
  idle: number;
}

/** Docker's own: five moves, then something is wrong. */
const maxRedirects = 5;
/** bytes of headers; generous for a registry, far from what would hurt. */
const maxHeaders = 64 * 1024;
/** bytes of an error's body that are looked at */
const maxErrorBody = 64 * 1024;

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Dispatcher.ResponseData["body"];
  /** Where it came from in the end. */
  url: URL;
}

/** HTTP to registries: connections kept, redirects followed by our own rules, everything within a deadline. */
export class Http {
  readonly #checked: Agent;
  readonly #unchecked: Agent;

  constructor(timeouts: Timeouts) {
    const options = (rejectUnauthorized: boolean): Agent.Options => ({
      connect: { timeout: timeouts.connect, rejectUnauthorized },
      headersTimeout: timeouts.headers,
      bodyTimeout: timeouts.idle,
      maxHeaderSize: maxHeaders,
      keepAliveTimeout: 15_000,
      // Layers come as whole bodies one after the other; HTTP/2 would only add its own flow control to TCP's.
      allowH2: false,
      pipelining: 1,
    });
    this.#checked = new Agent(options(true));
    this.#unchecked = new Agent(options(false));
  }

  /**
   * One request. Any status is an answer; the body must be read or destroyed.
   * @throws UNAVAILABLE in Go's words when there is none
   */
  async send(
    method: "GET" | "HEAD" | "POST",
    url: URL,
    options: { headers: Record<string, string>; insecure: boolean; signal: AbortSignal; body?: string },
  ): Promise<Answer> {
    let target = url;
    let headers = options.headers;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const answer = await this.#once(method, target, { ...options, headers });
      const location = answer.headers["location"];
      if (answer.status < 300 || answer.status >= 400 || typeof location !== "string")
        return { ...answer, url: target };
      await discard(answer.body);
      const next = parseLocation(location, target);
      // What was meant for the registry must not reach whoever it points to (object stores even refuse it).
      if (next.origin !== target.origin) headers = without(headers, "authorization");
      target = next;
    }
    throw new BerthError("UNAVAILABLE", `Get "${url.href}": stopped after ${maxRedirects} redirects`);
  }

  async #once(
    method: "GET" | "HEAD" | "POST",
    url: URL,
    options: { headers: Record<string, string>; insecure: boolean; signal: AbortSignal; body?: string },
  ): Promise<Omit<Answer, "url">> {
    const { headers, insecure, signal, body = null } = options;
    const dispatcher = insecure ? this.#unchecked : this.#checked;
    try {
      const response = await request(url, { method, headers, signal, body, dispatcher });
      return { status: response.statusCode, headers: response.headers, body: response.body };
    } catch (error) {
      signal.throwIfAborted();
      throw connectionFailure(error, method, url);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#checked.destroy(), this.#unchecked.destroy()]);
  }
}

/** A body as bytes, at most `limit`. @throws UNAVAILABLE when there are more */
export async function readBody({ body, url }: Answer, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      if (size > limit)
        throw new BerthError("UNAVAILABLE", `Get "${url.href}": the answer is larger than ${limit} bytes`);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw connectionFailure(error, "GET", url);
  }
  return Buffer.concat(chunks, size);
}

/** The error for an answer that is not a success. Reads its body. */
export async function answerError(answer: Answer): Promise<RegistryError> {
  const body = await readBody(answer, maxErrorBody).catch(() => Buffer.alloc(0));
  const faults = parseFaults(body.toString("utf8"));
  return new RegistryError(answer.status, statusText(answer.status), faults);
}

/** Frees the connection: a short body is read, a long one cut off. */
export async function discard(body: Answer["body"]): Promise<void> {
  await body.dump({ limit: maxErrorBody }).catch(() => {});
}

function parseLocation(location: string, base: URL): URL {
  const next = URL.canParse(location, base.href) ? new URL(location, base) : undefined;
  if (next === undefined || !["http:", "https:"].includes(next.protocol)) {
    throw new BerthError("UNAVAILABLE", `Get "${base.href}": redirected to an address that is none`);
  }
  return next;
}

function without(headers: Record<string, string>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key.toLowerCase() !== name));
}

export function statusText(status: number): string {
  return statusTexts[status] ?? "";
}

const statusTexts: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Request Entity Too Large",
  416: "Requested Range Not Satisfiable",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};
