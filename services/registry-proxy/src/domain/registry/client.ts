import { BerthError, isBerthError } from "@berth/errors";
import { digestOf, manifestAccept, maxManifestBytes, type Reference, sniffMediaType } from "@berth/oci";
import { Authorizer, type Credentials, type TokenCache } from "./auth.ts";
import { parseChallenges } from "./challenge.ts";
import type { Endpoint } from "./endpoint.ts";
import { type Answer, answerError, discard, type Http, readBody } from "./http.ts";

/** ms for a document, from the question to its last byte: a server can't keep us by sending it drop by drop. */
const documentDeadline = 60_000;

export interface FetchedManifest {
  content: Buffer;
  digest: string;
  mediaType: string;
}

export interface BlobBody {
  /** Where the body begins within the blob. bytes */
  offset: number;
  /** bytes of the whole blob, when the registry says it */
  size: number | undefined;
  body: Answer["body"];
}

/** Which scheme each insecure registry turned out to speak. Shared by all pulls. */
export type SchemeCache = Map<string, "http:" | "https:">;

export interface RegistryShared {
  http: Http;
  tokens: TokenCache;
  schemes: SchemeCache;
  userAgent: string;
}

/** One repository of one registry, as one caller may read it (OCI distribution-spec, "Pull"). */
export class RegistryClient {
  readonly #shared: RegistryShared;
  readonly #endpoint: Endpoint;
  readonly #path: string;
  readonly #auth: Authorizer;
  #ping: Promise<void> | undefined;

  constructor(shared: RegistryShared, endpoint: Endpoint, reference: Reference, credentials: Credentials) {
    this.#shared = shared;
    this.#endpoint = endpoint;
    this.#path = reference.path;
    const scope = `repository:${reference.path}:pull`;
    this.#auth = new Authorizer(shared.http, shared.tokens, credentials, endpoint.insecure, scope);
  }

  /**
   * A manifest or index, by tag or digest, checked against the digest.
   * @throws RegistryError, UNAVAILABLE, DATA_LOSS
   */
  async manifest(reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(documentDeadline)]);
    const headers = { accept: manifestAccept.join(", ") };
    const answer = await this.#get(`manifests/${reference}`, headers, within);
    const content = await readBody(answer, maxManifestBytes);
    const digest = digestOf(content);
    if (reference.includes(":") && reference !== digest) {
      throw new BerthError("DATA_LOSS", `manifest verification failed for digest ${reference}`, {
        digest,
        wanted: reference,
      });
    }
    return { content, digest, mediaType: mediaTypeOf(answer, content) };
  }

  /** A small blob as a whole, checked. Throws as {@link manifest}. */
  async document(digest: string, size: number, signal: AbortSignal): Promise<Buffer> {
    if (size > maxManifestBytes)
      throw new BerthError("INVALID_ARGUMENT", `the image's config has ${size} bytes: too many`);
    const within = AbortSignal.any([signal, AbortSignal.timeout(documentDeadline)]);
    const content = await readBody(await this.#get(`blobs/${digest}`, {}, within), maxManifestBytes);
    if (digestOf(content) === digest) return content;
    throw new BerthError("DATA_LOSS", `image config verification failed for digest ${digest}`);
  }

  /** Begins to read a blob from an offset on; a registry that can't do ranges begins at 0. */
  async blob(digest: string, offset: number, signal: AbortSignal): Promise<BlobBody> {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const answer = await this.#get(`blobs/${digest}`, headers, signal);
    if (answer.status === 206) {
      const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(answer.headers["content-range"] ?? ""));
      if (range !== null && Number(range[1]) === offset) {
        return { offset, size: range[2] === "*" ? undefined : Number(range[2]), body: answer.body };
      }
      answer.body.destroy();
      throw new BerthError("UNAVAILABLE", `the registry answered with another range than was asked for: ${digest}`);
    }
    const length = answer.headers["content-length"];
    return { offset: 0, size: typeof length === "string" ? Number(length) : undefined, body: answer.body };
  }

  /** A request with whatever authorization the registry wants; the answer is a success. */
  async #get(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    this.#ping ??= this.#knock(signal).catch((error: unknown) => {
      this.#ping = undefined;
      throw error;
    });
    await this.#ping;
    const url = this.#url(`/v2/${this.#path}/${path}`);
    let answer = await this.#send(url, headers, signal);
    if (answer.status === 401) {
      this.#auth.challenged(parseChallenges(answer.headers["www-authenticate"]));
      if (this.#auth.canAnswer) {
        await discard(answer.body);
        answer = await this.#send(url, headers, signal);
      }
    }
    if (answer.status === 200 || answer.status === 206) return answer;
    throw await answerError(answer);
  }

  async #send(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const authorization = await this.#authorization(url, signal);
    const all = { "user-agent": this.#shared.userAgent, ...headers, ...(authorization && { authorization }) };
    return this.#shared.http.send("GET", url, { headers: all, insecure: this.#endpoint.insecure, signal });
  }

  /** Docker tells which request could not be made; for a tag that is the HEAD with which it begins. */
  async #authorization(url: URL, signal: AbortSignal): Promise<string | undefined> {
    try {
      return await this.#auth.header(signal);
    } catch (error) {
      if (!isBerthError(error) || error.reason !== "FORBIDDEN") throw error;
      const verb = /\/manifests\/[^:]+$/.test(url.pathname) ? "Head" : "Get";
      throw new BerthError("FORBIDDEN", `${verb} "${url.href}": ${error.message}`);
    }
  }

  /** Asks for /v2/ : finds out the scheme, and what authorization is wanted, before anything is asked for in earnest. */
  async #knock(signal: AbortSignal): Promise<void> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(documentDeadline)]);
    const { http, schemes, userAgent } = this.#shared;
    const { host, insecure } = this.#endpoint;
    const ask = (): Promise<Answer> =>
      http.send("GET", this.#url("/v2/"), { headers: { "user-agent": userAgent }, insecure, signal: within });
    let answer: Answer;
    try {
      answer = await ask();
    } catch (error) {
      if (!insecure || schemes.has(host) || within.aborted) throw error;
      schemes.set(host, "http:");
      answer = await ask().catch((second: unknown) => {
        schemes.delete(host);
        throw second;
      });
    }
    await discard(answer.body);
    if (insecure && !schemes.has(host)) schemes.set(host, "https:");
    if (answer.status === 401) this.#auth.challenged(parseChallenges(answer.headers["www-authenticate"]));
  }

  #url(path: string): URL {
    const { host } = this.#endpoint;
    return new URL(path, `${this.#shared.schemes.get(host) ?? "https:"}//${host}`);
  }
}

function mediaTypeOf(answer: Answer, content: Buffer): string {
  const header = String(answer.headers["content-type"] ?? "")
    .split(";")[0]
    ?.trim();
  const isGeneric = !header || /^(?:application\/json|application\/octet-stream|text\/plain|text\/html)$/.test(header);
  return (isGeneric ? sniffMediaType(content) : header) ?? "";
}
