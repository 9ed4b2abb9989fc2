import { readFileSync } from "node:fs";
import { BerthError, errorMessage } from "@berth/errors";
import type { Logger } from "@berth/log";
import {
  type Authenticator,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type TlsOptions,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";

export interface ConnectionOptions {
  /** One or several, separated by commas. */
  url: string;
  user?: string | undefined;
  /** Read again at each attempt, so that a rotated password is found. */
  passwordFile?: string | undefined;
  /** A user's JWT and seed instead; read again at each attempt. */
  credsFile?: string | undefined;
  tls?: NatsTls | undefined;
  /** Where answers to this client's requests go; NATS' own unless given. */
  inboxPrefix?: string | undefined;
  /** What the server shows for this client. */
  name: string;
  log: Logger;
  signal?: AbortSignal | undefined;
}

/** PEM files, read again at each attempt. */
export interface NatsTls {
  caFile: string;
  /** Key and certificate, for servers that ask who is there. */
  identityFile?: string | undefined;
  /** Looks at the server's certificate, which the authority has vouched for; the host's name is compared unless given. */
  check?: ((subjectAltName: string | undefined) => Error | undefined) | undefined;
}

/** The one connection of a process, and whether it is up. Listeners are told of each change. */
export class Connection {
  readonly nats: NatsConnection;
  readonly log: Logger;
  #up = true;
  readonly #listeners = new Set<(up: boolean) => void>();

  private constructor(nats: NatsConnection, log: Logger) {
    this.nats = nats;
    this.log = log;
    void this.#follow();
  }

  /** Keeps trying until the server is there or the signal aborts. Throws what no retry cures (a wrong password). */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const { log, signal } = options;
    let told = false;
    for (;;) {
      signal?.throwIfAborted();
      try {
        return new Connection(await dial(options), log);
      } catch (error) {
        if (isAuthorizationError(error)) {
          throw new BerthError(
            "UNAUTHENTICATED",
            `NATS at ${options.url} refuses user ${options.user ?? options.credsFile ?? "(none)"}`,
            {},
            { cause: error },
          );
        }
        if (!told) log.warn({ url: options.url, err: errorMessage(error) }, "NATS is not there yet, waiting for it");
        told = true;
        await sleep(firstDialPauseMs, signal);
      }
    }
  }

  get up(): boolean {
    return this.#up && !this.nats.isClosed();
  }

  onChange(listener: (up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves once connected; rejects with the signal's reason when that comes first. */
  whenUp(signal?: AbortSignal): Promise<void> {
    if (this.up) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (settle: () => void) => {
        stop();
        signal?.removeEventListener("abort", aborted);
        settle();
      };
      const aborted = () => done(() => reject(signal?.reason as Error));
      const stop = this.onChange((up) => {
        if (up) done(resolve);
      });
      if (signal?.aborted) aborted();
      else signal?.addEventListener("abort", aborted, { once: true });
    });
  }

  async #follow(): Promise<void> {
    for await (const status of this.nats.status()) {
      if (status.type === "disconnect") this.#set(false);
      else if (status.type === "reconnect") this.#set(true);
      else if (status.type === "error") this.log.warn({ err: status.error.message }, "NATS reports an error");
    }
    this.#set(false);
  }

  #set(up: boolean): void {
    if (up === this.#up) return;
    this.#up = up;
    if (!this.nats.isClosed()) this.log.info(up ? "NATS is back" : "NATS is away");
    for (const listener of [...this.#listeners]) listener(up);
  }
}

const firstDialPauseMs = 100;

/** Connects once; from then on reconnects for ever. `authenticator`: instead of what the options name. */
export function dial(
  options: Omit<ConnectionOptions, "log" | "signal"> & { authenticator?: Authenticator },
): Promise<NatsConnection> {
  const { url, name, tls, inboxPrefix, authenticator = authenticate(options) } = options;
  return connect({
    servers: url.split(",").map((server) => server.trim()),
    name,
    ...(authenticator !== undefined && { authenticator }),
    ...(tls !== undefined && { tls: tlsOptions(tls) }),
    ...(inboxPrefix !== undefined && { inboxPrefix }),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    // A server that comes back with another configuration for a moment must not end the reconnecting.
    ignoreAuthErrorAbort: true,
    // A half-open connection is noticed within pingInterval * (maxPingOut + 1); one between hosts in time for who was cut off to be
    // heard of again within seconds, for TCP's own next attempt may be as far away as the cut was long.
    pingInterval: isLocal(url) ? 5_000 : 1_500,
    maxPingOut: 2,
    timeout: isLocal(url) ? 10_000 : 2_000,
    noAsyncTraces: true,
  });
}

function authenticate({
  user,
  passwordFile,
  credsFile,
}: Pick<ConnectionOptions, "user" | "passwordFile" | "credsFile">): Authenticator | undefined {
  if (credsFile !== undefined) return credsAuthenticator(() => readFileSync(credsFile));
  if (user === undefined) return undefined;
  const password = () => (passwordFile === undefined ? undefined : readFileSync(passwordFile, "utf8").trim());
  return usernamePasswordAuthenticator(user, password as () => string);
}

function tlsOptions({ caFile, identityFile, check }: NatsTls): TlsOptions {
  const options = { caFile, ...(identityFile !== undefined && { certFile: identityFile, keyFile: identityFile }) };
  if (check === undefined) return options;
  // The client hands what it does not know to Node's TLS.
  const checkServerIdentity = (_host: string, certificate: { subjectaltname?: string }) =>
    check(certificate.subjectaltname);
  return { ...options, checkServerIdentity } as TlsOptions;
}

function isAuthorizationError(error: unknown): boolean {
  return error instanceof Error && /^(AuthorizationError|UserAuthenticationExpiredError)$/.test(error.name);
}

/** A pause that the signal ends early, by rejecting. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    if (signal?.aborted) aborted();
    else signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** Servers on this host alone. */
const isLocal = (url: string): boolean =>
  url.split(",").every((server) => /^(\w+:\/\/)?(127(\.\d+){3}|localhost|\[::1\])(:|$)/.test(server.trim()));
