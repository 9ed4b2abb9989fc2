import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { BerthError, errorMessage } from "@berth/errors";

/** What a plugin is reached by. */
export interface PluginAddress {
  /** "unix:///run/x.sock", "tcp://host:port", "http://…", "https://…" */
  url: string;
  /** PEM texts, for https. */
  tls?: { ca?: string; cert?: string; key?: string; verify: boolean };
}

/** bytes; an answer lists volumes, at a few hundred bytes each. */
const maxAnswer = 64 << 20;
const mediaType = "application/vnd.docker.plugins.v1.1+json";

/**
 * Calls of Docker's plugin protocol (v1): POST /Service.Method with JSON in and out. Plugins say what went wrong in the answer's "Err".
 */
export class PluginClient {
  readonly #name: string;
  readonly #target: RequestOptions;
  readonly #isTls: boolean;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(name: string, { url, tls }: PluginAddress) {
    this.#name = name;
    this.#isTls = url.startsWith("https:") || (url.startsWith("tcp:") && tls?.verify === true);
    this.#target = targetOf(url);
    const security = tls === undefined ? {} : { ...tls, rejectUnauthorized: tls.verify };
    this.#agent = this.#isTls ? new HttpsAgent({ keepAlive: true, ...security }) : new HttpAgent({ keepAlive: true });
  }

  /** @throws UNAVAILABLE when the plugin can't be reached or takes longer than `timeoutMs`, INTERNAL with the plugin's own words */
  async call(method: string, body: object | undefined, timeoutMs: number): Promise<Record<string, unknown>> {
    const text = await this.#post(method, body === undefined ? "" : JSON.stringify(body), timeoutMs);
    const answer = parse(text, method);
    const failure = answer["Err"];
    if (typeof failure === "string" && failure !== "") throw new BerthError("INTERNAL", failure);
    return answer;
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(method: string, body: string, timeoutMs: number): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const send = this.#isTls ? httpsRequest : httpRequest;
    const request = send({
      ...this.#target,
      path: `/${method}`,
      method: "POST",
      agent: this.#agent,
      headers: { accept: mediaType, "content-type": mediaType, "content-length": Buffer.byteLength(body) },
      signal: AbortSignal.timeout(timeoutMs),
    });
    const unreachable = (error: unknown) =>
      reject(new BerthError("UNAVAILABLE", `plugin ${this.#name}: ${method}: ${errorMessage(error)}`));
    request.once("error", unreachable);
    request.once("response", (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswer) request.destroy(new Error(`the answer is longer than ${maxAnswer} bytes`));
        else chunks.push(chunk);
      });
      answer.once("error", unreachable);
      answer.once("end", () => {
        const text = Buffer.concat(chunks).toString();
        if (answer.statusCode === 200) resolve(text);
        else reject(new BerthError("INTERNAL", `${method}: ${errorText(text)}`));
      });
    });
    request.end(body);
    return promise;
  }
}

/** A plugin's failure: {"Err": "…"}, or whatever text it sends. */
function errorText(text: string): string {
  try {
    const { Err } = JSON.parse(text) as { Err?: unknown };
    if (typeof Err === "string" && Err !== "") return Err;
  } catch {
    // Not JSON: the text itself.
  }
  return text.trim().slice(0, 4096);
}

function parse(text: string, method: string): Record<string, unknown> {
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new BerthError("INTERNAL", `${method}: the plugin's answer is not a JSON object`);
}

function targetOf(url: string): RequestOptions {
  if (url.startsWith("unix://")) return { socketPath: url.slice(7) };
  const { hostname, port } = new URL(url.replace(/^tcp:/, "http:"));
  return { host: hostname, ...(port === "" ? {} : { port: Number(port) }) };
}
