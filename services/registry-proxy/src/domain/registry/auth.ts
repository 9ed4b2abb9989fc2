import { createHash } from "node:crypto";
import { BerthError } from "@berth/errors";
import type { Challenge } from "./challenge.ts";
import { answerError, type Http, readBody } from "./http.ts";

/** What a caller has to show; all empty for nothing. Never logged, never in an error. */
export interface Credentials {
  username: string;
  password: string;
  /** A refresh token of OAuth 2. */
  identityToken: string;
  /** A bearer token, used as it is. */
  registryToken: string;
}

export const anonymous: Credentials = { username: "", password: "", identityToken: "", registryToken: "" };

/** bytes of a token server's answer */
const maxTokenAnswer = 1024 * 1024;
/** What a token is good for when the server does not say (distribution's token specification). s */
const defaultLifetime = 60;
/** A token is renewed so long before its end, so that it can't end on its way. ms */
const margin = 10_000;
const maxTokens = 1000;

interface Token {
  value: string;
  /** Given where a lasting one was asked for. */
  refreshToken?: string;
  /** ms since epoch */
  expires: number;
}

/** Tokens, by whom they are for and what they allow. Shared by all pulls. */
export class TokenCache {
  readonly #tokens = new Map<string, Token>();

  get(key: string): string | undefined {
    const token = this.#tokens.get(key);
    if (token === undefined || token.expires > Date.now()) return token?.value;
    this.#tokens.delete(key);
    return undefined;
  }

  set(key: string, token: Token): void {
    const [oldest] = this.#tokens.keys();
    if (this.#tokens.size >= maxTokens && oldest !== undefined) this.#tokens.delete(oldest);
    this.#tokens.set(key, token);
  }

  delete(key: string): void {
    this.#tokens.delete(key);
  }
}

/** Authorization for one registry, one set of credentials and one scope. */
export class Authorizer {
  readonly #http: Http;
  readonly #cache: TokenCache;
  readonly #credentials: Credentials;
  readonly #insecure: boolean;
  readonly #scope: string;
  #challenge: Challenge | undefined;
  /** A refresh token that the token server gave; only {@link Authorizer.offline} asks for one. */
  refreshToken: string | undefined;
  /** Asks for a token that outlasts the password's use, as a login does. */
  offline = false;

  /** @param scope as in "repository:library/busybox:pull"; empty to only show the credentials */
  constructor(http: Http, cache: TokenCache, credentials: Credentials, insecure: boolean, scope: string) {
    this.#http = http;
    this.#cache = cache;
    this.#credentials = credentials;
    this.#insecure = insecure;
    this.#scope = scope;
  }

  /** What the registry asked for. Forgets the token that it did not take. */
  challenged(challenges: readonly Challenge[]): void {
    const wanted =
      challenges.find(({ scheme }) => scheme === "bearer") ?? challenges.find(({ scheme }) => scheme === "basic");
    if (wanted === undefined) return;
    this.#challenge = wanted;
    if (wanted.scheme === "bearer") this.#cache.delete(this.#key(wanted));
  }

  /** True when there is a way to answer the registry's challenge. */
  get canAnswer(): boolean {
    return this.#challenge !== undefined;
  }

  /** The header's value; undefined when none is asked for. @throws FORBIDDEN, UNAVAILABLE, RegistryError */
  async header(signal: AbortSignal): Promise<string | undefined> {
    if (this.#challenge === undefined) return undefined;
    if (this.#challenge.scheme === "basic") return this.#basic();
    if (this.#credentials.registryToken !== "") return `Bearer ${this.#credentials.registryToken}`;
    return `Bearer ${await this.#token(this.#challenge, signal)}`;
  }

  #basic(): string {
    const { username, password } = this.#credentials;
    if (username === "") throw new BerthError("FORBIDDEN", "no basic auth credentials");
    return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  }

  async #token(challenge: Challenge, signal: AbortSignal): Promise<string> {
    const key = this.#key(challenge);
    const cached = this.offline ? undefined : this.#cache.get(key);
    if (cached !== undefined) return cached;
    const token = await this.#fetch(challenge, signal);
    this.#cache.set(key, token);
    this.refreshToken = token.refreshToken;
    return token.value;
  }

  async #fetch({ parameters }: Challenge, signal: AbortSignal): Promise<Token> {
    const realm = this.#realm(parameters["realm"]);
    const fields = new URLSearchParams();
    if (parameters["service"]) fields.set("service", parameters["service"]);
    if (this.#scope !== "") fields.set("scope", this.#scope);
    if (this.offline) {
      fields.set("offline_token", "true");
      fields.set("client_id", "docker");
    }
    const { username, identityToken } = this.#credentials;
    const common = { insecure: this.#insecure, signal };
    let answer: Awaited<ReturnType<Http["send"]>>;
    if (identityToken === "") {
      for (const [name, value] of fields) realm.searchParams.set(name, value);
      if (username !== "") realm.searchParams.set("account", username);
      const headers: Record<string, string> = username === "" ? {} : { authorization: this.#basic() };
      answer = await this.#http.send("GET", realm, { headers, ...common });
    } else {
      fields.set("grant_type", "refresh_token");
      fields.set("refresh_token", identityToken);
      fields.set("client_id", "berth");
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      answer = await this.#http.send("POST", realm, { headers, body: fields.toString(), ...common });
    }
    if (answer.status !== 200) throw await answerError(answer);
    return parseToken(await readBody(answer, maxTokenAnswer), realm);
  }

  /** Credentials go in clear text only where the operator said that this is fine. */
  #realm(text: string | undefined): URL {
    const realm = text !== undefined && URL.canParse(text) ? new URL(text) : undefined;
    if (realm === undefined || !["http:", "https:"].includes(realm.protocol)) {
      throw new BerthError("UNAVAILABLE", "the registry's challenge has no token server");
    }
    if (realm.protocol === "http:" && !this.#insecure) {
      throw new BerthError("UNAVAILABLE", `the registry's token server ${realm.origin} is not reached by HTTPS`);
    }
    return realm;
  }

  #key({ parameters }: Challenge): string {
    const parts = [parameters["realm"], parameters["service"], this.#scope, ...Object.values(this.#credentials)];
    return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  }
}

function parseToken(body: Buffer, realm: URL): Token {
  let answer: Record<string, unknown> = {};
  try {
    answer = JSON.parse(body.toString("utf8")) as Record<string, unknown>;
  } catch {
    // Told below, without the body: it may hold a token.
  }
  const value = answer?.["token"] || answer?.["access_token"];
  if (typeof value !== "string" || /[\r\n]/.test(value)) {
    throw new BerthError("UNAVAILABLE", `the token server ${realm.origin} did not include a token in its answer`);
  }
  const lifetime =
    typeof answer["expires_in"] === "number" ? Math.max(defaultLifetime, answer["expires_in"]) : defaultLifetime;
  const refreshToken = answer["refresh_token"];
  return {
    value,
    ...(typeof refreshToken === "string" ? { refreshToken } : {}),
    expires: Date.now() + lifetime * 1000 - margin,
  };
}
