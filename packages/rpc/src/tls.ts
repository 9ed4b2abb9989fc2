import { readFileSync, watch } from "node:fs";
import { dirname } from "node:path";
import type { PeerCertificate } from "node:tls";
import { BerthError } from "@berth/errors";
import { identityIn } from "@berth/identity/uri";
import type { Logger } from "@berth/log";
import { experimental, ServerCredentials, type ServerInterceptor } from "@grpc/grpc-js";
import { ChannelCredentials } from "nice-grpc";
import { grpcTarget, type TcpAddress, type UnixAddress } from "./address.ts";

/** Files of PEM text. Both or none; with them both sides prove who they are. */
export interface TlsFiles {
  /** The authority's certificate. */
  identityCa?: string | undefined;
  /** Our key and certificate. */
  identity?: string | undefined;
}

/** Whom a connection must lead to. */
export interface Expected {
  role: string;
  nodeId: string;
}

type Listener<T> = (update: T | null) => void;
type Provider = experimental.CertificateProvider;
type CaUpdate = experimental.CaCertificateUpdate;
type IdentityUpdate = experimental.IdentityCertificateUpdate;

/** Between a change of the directory and its reading: several files are replaced at a time. ms */
const settleMs = 50;

/** Our certificate and the authority's, read again when their files are replaced: new connections have the new ones. */
export class Identities implements Provider {
  readonly #files: Required<{ [K in keyof TlsFiles]: string }>;
  readonly #log: Logger | undefined;
  readonly #caListeners = new Set<Listener<CaUpdate>>();
  readonly #identityListeners = new Set<Listener<IdentityUpdate>>();
  readonly #stopWatching: () => void;
  #ca: CaUpdate;
  #own: IdentityUpdate;

  private constructor(identityCa: string, identity: string, log: Logger | undefined) {
    this.#files = { identityCa, identity };
    this.#log = log;
    this.#ca = { caCertificate: readFileSync(identityCa) };
    this.#own = this.#readOwn();
    this.#stopWatching = this.#watch();
  }

  /** Undefined without files: then nothing but unix sockets and loopback is served and called. */
  static open({ identityCa, identity }: TlsFiles, log: Logger | undefined): Identities | undefined {
    return identityCa === undefined || identity === undefined ? undefined : new Identities(identityCa, identity, log);
  }

  close(): void {
    this.#stopWatching();
  }

  addCaCertificateListener(listener: Listener<CaUpdate>): void {
    this.#caListeners.add(listener);
    process.nextTick(listener, this.#ca);
  }
  removeCaCertificateListener(listener: Listener<CaUpdate>): void {
    this.#caListeners.delete(listener);
  }
  addIdentityCertificateListener(listener: Listener<IdentityUpdate>): void {
    this.#identityListeners.add(listener);
    process.nextTick(listener, this.#own);
  }
  removeIdentityCertificateListener(listener: Listener<IdentityUpdate>): void {
    this.#identityListeners.delete(listener);
  }

  #readOwn(): IdentityUpdate {
    const pem = readFileSync(this.#files.identity);
    return { certificate: pem, privateKey: pem };
  }

  #watch(): () => void {
    let timer: NodeJS.Timeout | undefined;
    const watcher = watch(dirname(this.#files.identity), { persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#reload(), settleMs);
      timer.unref();
    });
    // A directory that is taken away: what was read stays.
    watcher.on("error", (error) => this.#log?.warn({ err: error }, "certificates are not watched any more"));
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  }

  #reload(): void {
    try {
      const own = this.#readOwn();
      const ca = { caCertificate: readFileSync(this.#files.identityCa) };
      if (!ca.caCertificate.equals(this.#ca.caCertificate)) {
        this.#ca = ca;
        for (const listener of [...this.#caListeners]) listener(ca);
      }
      if (own.certificate.equals(this.#own.certificate)) return;
      this.#own = own;
      for (const listener of [...this.#identityListeners]) listener(own);
      this.#log?.info("new connections have a new certificate");
    } catch (error) {
      this.#log?.error({ err: error }, "the new certificate can't be read; the old one is kept");
    }
  }
}

/** A unix socket is guarded by its mode, TCP by mutual TLS; bare TCP is for loopback alone. Throws INVALID_ARGUMENT. */
export function serverCredentials(
  address: UnixAddress | TcpAddress,
  identities: Identities | undefined,
  interceptor: ServerInterceptor,
): ServerCredentials {
  const secured = securedBy(address, identities);
  if (secured === undefined) return ServerCredentials.createInsecure();
  // Who shows no certificate of ours is let in as far as the interceptor, which can say and log what it was that it wanted.
  const tls = experimental.createCertificateProviderServerCredentials(secured, secured, false);
  return experimental.createServerCredentialsWithInterceptors(tls, [interceptor]);
}

/** `expected`: whom the server's certificate must name; any of the cluster unless given. Throws INVALID_ARGUMENT. */
export function channelCredentials(
  address: UnixAddress | TcpAddress,
  identities: Identities | undefined,
  expected: Expected | undefined,
  log: Logger | undefined,
): ChannelCredentials {
  const secured = securedBy(address, identities);
  if (secured === undefined) return ChannelCredentials.createInsecure();
  const where = grpcTarget(address);
  const checkServerIdentity = (_name: string, { subjectaltname }: PeerCertificate): Error | undefined => {
    const found = identityIn(subjectaltname);
    if (found !== undefined && (expected === undefined || isSame(found, expected))) return undefined;
    const wanted = expected === undefined ? "a service of ours" : `the ${expected.role} of node ${expected.nodeId}`;
    const message = `${where} is not ${wanted}, but ${subjectaltname ?? "nobody"}`;
    log?.warn({ address: where, shown: subjectaltname }, message);
    return new Error(message);
  };
  return experimental.createCertificateProviderChannelCredentials(secured, secured, { checkServerIdentity });
}

const isSame = (found: Expected, expected: Expected): boolean =>
  found.role === expected.role && found.nodeId === expected.nodeId;

/** What TCP to another host is secured with; undefined where it needs not be. */
function securedBy(address: UnixAddress | TcpAddress, identities: Identities | undefined): Identities | undefined {
  if (address.kind === "unix") return undefined;
  if (identities !== undefined || isLoopback(address.host)) return identities;
  throw new BerthError(
    "INVALID_ARGUMENT",
    `tcp:${address.host}:${address.port} leaves this host, which needs BERTH_IDENTITY and BERTH_IDENTITY_CA`,
  );
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
