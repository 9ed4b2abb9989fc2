import { PassThrough } from "node:stream";
import type { AuthorityDefinition } from "@berth/api/authority";
import { BerthError } from "@berth/errors";
import type { Implementation } from "@berth/rpc";
import type { Membership } from "../domain/membership.ts";
import type { NatsServers } from "../domain/nats-servers.ts";
import type { MemberRecord, TokenRecord } from "../domain/records.ts";
import { type Tokens, usesLeft } from "../domain/tokens.ts";

/** berth.authority.v1.Authority: decodes, calls the domain, encodes. */
export function authorityService({
  tokens,
  membership,
  natsServers,
}: {
  tokens: Tokens;
  membership: Membership;
  natsServers: NatsServers | undefined;
}): Implementation<typeof AuthorityDefinition> {
  return {
    async createToken({ roles, ttlSeconds, uses }) {
      const { token, text } = await tokens.create({ roles, ttlMs: ttlSeconds * 1000, uses });
      return { token: encodeToken(token), text };
    },
    async listTokens() {
      return { tokens: tokens.list().map(encodeToken) };
    },
    async revokeToken({ id }) {
      await tokens.revoke(id);
      return {};
    },
    async listMembers() {
      return { members: membership.list().map(encodeMember) };
    },
    async revokeMember({ node }) {
      return { member: encodeMember(await membership.revoke(node)) };
    },
    async *setNatsServers({ promote, demote, force }) {
      if (natsServers === undefined)
        throw new BerthError("CONFLICT", "this engine uses a NATS that is not its own (BERTH_NATS_URL)");
      if ((promote.length === 0) === (demote.length === 0))
        throw new BerthError("INVALID_ARGUMENT", "expected nodes to promote, or nodes to demote");
      const steps = new PassThrough({ objectMode: true });
      const tell = (step: string) => steps.write(step);
      const change = promote.length > 0 ? natsServers.promote(promote, tell) : natsServers.demote(demote, force, tell);
      // Once it has begun it goes on, whoever listens.
      change.catch(() => undefined).finally(() => steps.end());
      for await (const step of steps) yield { step: step as string, nodes: [] };
      yield { step: "", nodes: (await change).servers.map(({ nodeName }) => nodeName) };
    },
  };
}

const encodeToken = (token: TokenRecord) => ({
  id: token.id,
  roles: token.roles,
  createdAt: token.createdAt,
  expiresAt: token.expiresAt,
  uses: token.uses,
  usesLeft: usesLeft(token),
  usedBy: token.usedBy.map(({ nodeName }) => nodeName),
});

const encodeMember = (member: MemberRecord) => ({
  nodeId: member.nodeId,
  name: member.name,
  site: member.site,
  address: member.address,
  roles: member.roles,
  services: member.services,
  joinedAt: member.joinedAt,
  expiresAt: member.expiresAt,
  revokedAt: member.isOut ? (member.revokedAt ?? 0) : 0,
});
