// NATS' decentralised trust (docs.nats.io, "JWT"): an operator vouches for an account, the account for users. A server needs the
// operator's public word alone, so that users come and go, and servers are added, without a word in anybody's configuration.
import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { type Account, encodeAccount, encodeOperator, encodeUser, fmtCreds } from "@nats-io/jwt";
import { createAccount, createOperator, createUser, fromPublic, fromSeed, type KeyPair } from "@nats-io/nkeys";
import { makeSecretDirectory, writeSecret } from "./files.ts";
import { permissionsOf } from "./permissions.ts";
import type { Identity } from "./uri.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();

/** A user's key, made where it is used: the authority sees the public half. */
export interface NatsKey {
  seed: string;
  publicKey: string;
}

export function createNatsKey(): NatsKey {
  const pair = createUser();
  return { seed: text.decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** What a client authenticates with, as a file's content. */
export const credentials = (jwt: string, seed: string): string =>
  text.decode(fmtCreds(jwt, fromSeed(bytes.encode(seed))));

/** Public keys of users whose JWTs were issued at this time (s since the epoch) or before are refused. */
export type Revocations = Readonly<Record<string, number>>;

/** Unlimited: what bounds a cluster is its disk. Left out, every one of these is nought. */
const unlimited: NonNullable<Account["limits"]> = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
/** The system account must not have it. */
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

interface Seeds {
  operator: string;
  account: string;
  system: string;
}

/** The keys that vouch for NATS users. */
export class NatsAuthority {
  readonly #operator: KeyPair;
  readonly #account: KeyPair;
  readonly #system: KeyPair;
  readonly #name: string;
  readonly #trustFile: string;

  private constructor(seeds: Seeds, name: string, trustFile: string) {
    this.#trustFile = trustFile;
    this.#operator = fromSeed(bytes.encode(seeds.operator));
    this.#account = fromSeed(bytes.encode(seeds.account));
    this.#system = fromSeed(bytes.encode(seeds.system));
    this.#name = name;
  }

  static open(directory: string, cluster: string): NatsAuthority {
    const path = join(directory, "nats-keys.json");
    if (!existsSync(path)) {
      makeSecretDirectory(directory);
      const seed = (pair: KeyPair) => text.decode(pair.getSeed());
      const made: Seeds = {
        operator: seed(createOperator()),
        account: seed(createAccount()),
        system: seed(createAccount()),
      };
      writeSecret(path, JSON.stringify(made));
    }
    return new NatsAuthority(
      JSON.parse(readFileSync(path, "utf8")) as Seeds,
      cluster,
      join(directory, "nats-trust.conf"),
    );
  }

  /** The account's public key: JetStream keeps its streams below a directory of this name. */
  get account(): string {
    return this.#account.getPublicKey();
  }

  accountJwt(revocations: Revocations = {}): Promise<string> {
    const account = {
      limits: { ...unlimited, ...jetStream },
      ...(Object.keys(revocations).length > 0 && { revocations: { ...revocations } }),
    };
    return encodeAccount(this.#name, this.#account, account, { signer: this.#operator });
  }

  /** @throws INVALID_ARGUMENT when `publicKey` is no user's */
  userJwt(identity: Identity, publicKey: string, expiresAt: number): Promise<string> {
    const { nodeId, role } = identity;
    const user = { ...permissionsOf(role, nodeId), allowed_connection_types: ["STANDARD" as const] };
    return encodeUser(`${role}@${nodeId}`, userKey(publicKey), this.#account, user, {
      exp: Math.floor(expiresAt / 1000),
    });
  }

  /** A user of the system account, who may tell servers about accounts. */
  async systemCredentials(expiresAt: number): Promise<string> {
    const user = createUser();
    const jwt = await encodeUser("authority", user, this.#system, {}, { exp: Math.floor(expiresAt / 1000) });
    return text.decode(fmtCreds(jwt, user));
  }

  /** A user of the system account, who may ask servers what streams they have, and nothing else. */
  async watchCredentials(expiresAt: number): Promise<string> {
    const user = createUser();
    const permissions = { pub: { allow: ["$SYS.REQ.SERVER.PING.JSZ"] }, sub: { allow: ["_INBOX.>"] } };
    const jwt = await encodeUser("watch", user, this.#system, permissions, { exp: Math.floor(expiresAt / 1000) });
    return text.decode(fmtCreds(jwt, user));
  }

  /** A user who may do everything in the account: for changes of all streams, a moment each. */
  async streamCredentials(expiresAt: number): Promise<string> {
    const user = createUser();
    const jwt = await encodeUser("streams", user, this.#account, {}, { exp: Math.floor(expiresAt / 1000) });
    return text.decode(fmtCreds(jwt, user));
  }

  /** What NATS servers show each other. Whoever has the operator's key has it too. */
  get routeSecret(): string {
    return createHmac("sha256", this.#operator.getSeed()).update("routes").digest("base64url");
  }

  /**
   * The part of a server's configuration that says whom it trusts. Always the same words: a server takes no other operator while it
   * runs, though the same one may have signed itself anew.
   */
  async trustConfiguration(): Promise<string> {
    if (!existsSync(this.#trustFile)) writeSecret(this.#trustFile, await this.#composeTrust());
    return readFileSync(this.#trustFile, "utf8");
  }

  async #composeTrust(): Promise<string> {
    const operator = await encodeOperator(this.#name, this.#operator, { system_account: this.#system.getPublicKey() });
    const system = await encodeAccount("SYS", this.#system, { limits: unlimited }, { signer: this.#operator });
    return `operator: ${operator}
system_account: ${this.#system.getPublicKey()}
resolver_preload {
  ${this.#system.getPublicKey()}: ${system}
  ${this.account}: ${await this.accountJwt()}
}
`;
  }
}

function userKey(publicKey: string): KeyPair {
  try {
    if (/^U[A-Z2-7]{55}$/.test(publicKey)) return fromPublic(publicKey);
  } catch {
    // Its checksum is wrong.
  }
  throw new BerthError("INVALID_ARGUMENT", "that is no public key of a NATS user");
}
