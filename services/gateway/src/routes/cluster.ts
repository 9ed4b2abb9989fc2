import { BerthError, errorMessage } from "@berth/errors";
import { sendEmpty, sendJson, startStream } from "../http/answer.ts";
import { readJson } from "../http/body.ts";
import type { Api } from "../http/server.ts";
import { flag, int, int64, list, struct, text } from "../json/decode.ts";
import type { Authority, Member, Token } from "../rpc/types.ts";
import { errorLine, jsonLine, progressLine } from "../shapes/progress.ts";

const tokenRequest = struct("cluster.TokenRequest", { Roles: list(text), TTLSeconds: int64, Uses: int });

const natsRequest = struct("cluster.NatsServers", { Promote: list(text), Demote: list(text), Force: flag });
/** The authority gives up earlier, and says why. */
const natsChangeMs = 10 * 60_000;

/**
 * Who belongs to the cluster, for `berth node token` and `berth node revoke`. These paths are ours: Docker has none for them.
 * `authority`: undefined on an engine that is not open to other hosts.
 */
export function clusterRoutes(api: Api, authority: Authority | undefined): void {
  const open = (): Authority => {
    if (authority !== undefined) return authority;
    throw new BerthError(
      "UNAVAILABLE",
      "this engine is not open to other hosts; start it once with an address at which they reach this one: npm start -- --advertise ADDRESS",
    );
  };
  api.on("POST", "/berth/node-tokens", async ({ req, res, signal }) => {
    const { Roles, TTLSeconds = 0, Uses = 0 } = await readJson(req, tokenRequest);
    const asked = { roles: Roles ?? [], ttlSeconds: TTLSeconds, uses: Uses };
    const { token, text: secret } = await open().createToken(asked, { signal });
    sendJson(res, 201, { ...tokenJson(token as Token), Token: secret });
  });
  api.on("GET", "/berth/node-tokens", async ({ res, signal }) => {
    sendJson(res, 200, (await open().listTokens({}, { signal })).tokens.map(tokenJson));
  });
  api.on("DELETE", "/berth/node-tokens/{id}", async ({ name, res, signal }) => {
    await open().revokeToken({ id: name }, { signal });
    sendEmpty(res, 204);
  });
  api.on("GET", "/berth/members", async ({ res, signal }) => {
    sendJson(res, 200, (await open().listMembers({}, { signal })).members.map(memberJson));
  });
  api.on("POST", "/berth/members/{name}/revoke", async ({ name, res, signal }) => {
    const { member } = await open().revokeMember({ node: name }, { signal });
    sendJson(res, 200, memberJson(member as Member));
  });
  api.on("POST", "/berth/nats-servers", async ({ req, res, signal }) => {
    const { Promote, Demote, Force = false } = await readJson(req, natsRequest);
    const asked = { promote: Promote ?? [], demote: Demote ?? [], force: Force };
    try {
      for await (const { step, nodes } of open().setNatsServers(asked, { signal, timeoutMs: natsChangeMs })) {
        if (!res.headersSent) startStream(res, "application/json");
        res.write(step === "" ? jsonLine({ Nodes: nodes }) : progressLine({ status: step }));
      }
      res.end();
    } catch (error) {
      // What is refused has a status; what fails under way is a line.
      if (!res.headersSent) throw error;
      res.end(errorLine(errorMessage(error)));
    }
  });
}

const time = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());

const tokenJson = (token: Token) => ({
  Id: token.id,
  Roles: token.roles,
  CreatedAt: time(token.createdAt),
  ExpiresAt: time(token.expiresAt),
  Uses: token.uses,
  UsesLeft: token.usesLeft,
  UsedBy: token.usedBy,
});

const memberJson = (member: Member) => ({
  Id: member.nodeId,
  Name: member.name,
  Site: member.site,
  Address: member.address,
  Roles: member.roles,
  Services: member.services,
  JoinedAt: time(member.joinedAt),
  CertificatesExpireAt: time(member.expiresAt),
  RevokedAt: time(member.revokedAt),
});
