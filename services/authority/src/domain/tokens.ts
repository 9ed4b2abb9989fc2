import { BerthError } from "@berth/errors";
import { encodeToken, hashSecret, isSecret, newSecret, newTokenId } from "@berth/identity";
import type { Records, TokenRecord } from "./records.ts";

export interface TokenWish {
  roles: readonly string[];
  ttlMs: number;
  uses: number;
}

export interface Use {
  token: TokenRecord;
  /** The same host has asked the same before: the answer was lost. */
  repeated: boolean;
}

/** Services that a host may run which joins; the authority and NATS stay where they are. */
export const joinableRoles = ["image-store", "snapshotter", "registry-proxy", "supervisor", "gateway", "builder"];
const defaultRoles = joinableRoles.filter((role) => role !== "image-store");
const defaultTtlMs = 3_600_000;
const maxTtlMs = 30 * 24 * 3_600_000;
const maxUses = 1000;
const maxTokens = 1000;

/**
 * Join tokens. A token's life: made ──▶ used up to `uses` times ──▶ expired or revoked. An expired one is remembered for a while, so
 * that who uses it is told so.
 */
export class Tokens {
  readonly #records: Records;
  readonly #known: Map<string, TokenRecord>;
  readonly #where: { addresses: string[]; fingerprint: string };

  constructor(records: Records, known: readonly TokenRecord[], where: { addresses: string[]; fingerprint: string }) {
    this.#records = records;
    this.#known = new Map(known.map((token) => [token.id, token]));
    this.#where = where;
  }

  /** @throws INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
  async create({ roles, ttlMs, uses }: TokenWish): Promise<{ token: TokenRecord; text: string }> {
    await this.#forgetOld();
    if (this.#known.size >= maxTokens)
      throw new BerthError("RESOURCE_EXHAUSTED", `there are ${maxTokens} tokens already; revoke some`);
    const unknown = roles.find((role) => !joinableRoles.includes(role));
    if (unknown !== undefined)
      throw new BerthError(
        "INVALID_ARGUMENT",
        `"${unknown}" can't be given away, expected some of ${joinableRoles.join(", ")}`,
      );
    const lifetime = bounded("the time that a token is good for", ttlMs || defaultTtlMs, 1_000, maxTtlMs, " ms");
    const secret = newSecret();
    const now = Date.now();
    const token: TokenRecord = {
      id: newTokenId(),
      secretHash: hashSecret(secret),
      roles: roles.length === 0 ? defaultRoles : [...new Set(roles)],
      createdAt: now,
      expiresAt: now + lifetime,
      uses: bounded("the number of uses", uses || 1, 1, maxUses, ""),
      usedBy: [],
    };
    await this.#records.putToken(token);
    this.#known.set(token.id, token);
    return { token, text: encodeToken({ ...this.#where, id: token.id, secret }) };
  }

  /** Those that may still be used, the oldest first. */
  list(): TokenRecord[] {
    const live = [...this.#known.values()].filter((token) => token.expiresAt > Date.now() && usesLeft(token) > 0);
    return live.sort((a, b) => a.createdAt - b.createdAt);
  }

  /** @throws NOT_FOUND */
  async revoke(id: string): Promise<void> {
    if (!this.#known.has(id)) throw new BerthError("NOT_FOUND", `no such token: ${id}`);
    await this.#records.deleteToken(id);
    this.#known.delete(id);
  }

  /**
   * The token that a host shows, as it will be once the host has used it; nothing is kept yet. `request` tells hosts apart that
   * say they are the same. A wrong secret is not told from an unknown token. @throws UNAUTHENTICATED
   */
  use(id: string, secret: string, host: { nodeId: string; nodeName: string; request: string }): Use {
    const token = this.#known.get(id);
    if (token === undefined || !isSecret(secret, token.secretHash))
      throw refused("the token is not known here: it was revoked, has expired long ago, or is another engine's");
    const repeated = token.usedBy.some(({ nodeId, request }) => nodeId === host.nodeId && request === host.request);
    if (token.expiresAt <= Date.now())
      throw refused(`the token has expired (${new Date(token.expiresAt).toISOString()})`);
    if (repeated) return { token, repeated };
    if (usesLeft(token) <= 0) {
      const by = token.usedBy.map(({ nodeName }) => nodeName).join(", ");
      throw refused(`the token has been used already (by ${by})`);
    }
    return { token: { ...token, usedBy: [...token.usedBy, host] }, repeated };
  }

  /** The use is on the disk. */
  used(token: TokenRecord): void {
    this.#known.set(token.id, token);
  }

  async #forgetOld(): Promise<void> {
    for (const token of [...this.#known.values()])
      if (token.expiresAt + rememberedMs < Date.now()) await this.revoke(token.id);
  }
}

/** After a token has expired, ms. */
const rememberedMs = 7 * 24 * 3_600_000;

export const usesLeft = (token: TokenRecord): number => token.uses - token.usedBy.length;

const refused = (why: string) => new BerthError("UNAUTHENTICATED", `${why}; berth node token makes a new one`);

function bounded(what: string, value: number, least: number, most: number, unit: string): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new BerthError("INVALID_ARGUMENT", `${what} must be between ${least} and ${most}${unit}`);
}
