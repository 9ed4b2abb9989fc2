import { BerthError } from "@berth/errors";
import {
  backdatedMs,
  type CertificateAuthority,
  type Credential,
  type Identity,
  type JoinRequest,
  launcherRole,
  launcherTtlMs,
  type Membership as MembershipAnswer,
  maxClockSkewMs,
  modeOf,
  type NatsAuthority,
  type NatsPlan,
  type NodeSettings,
  natsRole,
  type RenewRequest,
  type Revocations,
  serverSecrets,
} from "@berth/identity";
import type { MemberRecord, Records } from "./records.ts";
import { joinableRoles, type Tokens } from "./tokens.ts";

/** Who tells the services of the cluster, and NATS, that a node is out. */
export interface Announcer {
  /** Certificates of the node issued until `at` (ms since the epoch) are good no more. */
  revoked(nodeId: string, at: number): void;
  natsRevocations(revocations: Revocations): void;
}

export interface MembershipParts {
  records: Records;
  tokens: Tokens;
  certificates: CertificateAuthority;
  nats: NatsAuthority;
  /** This host's own. */
  settings: NodeSettings;
  ttlMs: number;
  announcer: Announcer;
  /** Which nodes run NATS; undefined where it is somebody else's. */
  plan(): NatsPlan | undefined;
  /** Whether services of a node announce themselves now. */
  isHeard(nodeId: string): boolean;
}

const maxMembers = 10_000;

/** The nodes of the cluster: each joins by a token, renews by its own certificate, and may be shut out. */
export class Membership {
  readonly #parts: MembershipParts;
  readonly #known: Map<string, MemberRecord>;
  /** One change at a time: two hosts of one name must not both be let in. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(parts: MembershipParts, known: readonly MemberRecord[]) {
    this.#parts = parts;
    this.#known = new Map(known.map((member) => [member.nodeId, member]));
  }

  list(): MemberRecord[] {
    return [...this.#known.values()].sort((a, b) => a.joinedAt - b.joinedAt);
  }

  /** This host is a member without having joined. */
  async adoptSelf(site: string): Promise<void> {
    const { nodeId, nodeName, advertise, basePort, services } = this.#parts.settings;
    const known = this.#known.get(nodeId);
    const times = { joinedAt: known?.joinedAt ?? Date.now(), expiresAt: Date.now() + this.#parts.ttlMs };
    await this.#put({
      ...{
        nodeId,
        name: nodeName,
        site,
        address: advertise,
        basePort,
        roles: [...services],
        services: [...services],
        natsKeys: {},
      },
      ...{ ...times, revokedAt: known?.revokedAt, isOut: false },
    });
  }

  /** Tells everybody again who is out: at the start, and after NATS lost what it knew. */
  announceAll(): void {
    for (const { nodeId, revokedAt } of this.#known.values())
      if (revokedAt !== undefined && revokedAt + this.#parts.ttlMs > Date.now())
        this.#parts.announcer.revoked(nodeId, revokedAt);
    this.#parts.announcer.natsRevocations(this.#natsRevocations());
  }

  /** @throws INVALID_ARGUMENT, UNAUTHENTICATED (the token), CONFLICT (the name, the id, the site's image store) */
  join(request: JoinRequest): Promise<MembershipAnswer> {
    return this.#alone(async () => {
      checkClock(request.clock);
      const { node, roles } = request;
      const asked = servicesOf(request);
      const proof = roles.find(({ role }) => role === launcherRole)?.request ?? "";
      const host = { nodeId: node.id, nodeName: node.name, request: proof };
      const { token, repeated } = this.#parts.tokens.use(request.token.id, request.token.secret, host);
      const known = this.#known.get(node.id);
      if (known !== undefined && !known.isOut && !repeated) throw idInUse(known);
      this.#checkPlace(request);
      checkRoles(asked, token.roles, "the token");
      if (known === undefined && this.#known.size >= maxMembers)
        throw new BerthError("RESOURCE_EXHAUSTED", `there are ${maxMembers} nodes already`);
      if (known?.revokedAt !== undefined) await pastSecondOf(known.revokedAt);
      const answer = await this.#issue(request);
      const member = this.#describe(request, answer, {
        ...known,
        roles: token.roles,
        joinedAt: known?.joinedAt ?? Date.now(),
      });
      await this.#parts.records.putUse(token, member);
      this.#parts.tokens.used(token);
      this.#known.set(member.nodeId, member);
      return answer;
    });
  }

  /** `shown`: whom the host's own certificate names, and when it was issued. @throws INVALID_ARGUMENT, FORBIDDEN, CONFLICT */
  renew(request: RenewRequest, shown: Identity, issuedAt: number): Promise<MembershipAnswer> {
    return this.#alone(async () => {
      if (shown.role !== launcherRole || shown.nodeId !== request.node.id)
        throw new BerthError(
          "FORBIDDEN",
          `the ${shown.role} of node ${shown.nodeId} can't renew for node ${request.node.id}`,
        );
      const known = this.#known.get(shown.nodeId);
      if (known === undefined || known.isOut || isRevoked(known, issuedAt)) throw shutOut(shown.nodeId, known);
      checkClock(request.clock);
      this.#checkTwin(request.node, known);
      this.#checkPlace(request);
      // A host that was away may not know yet that it runs NATS no more: the answer tells it.
      const isServer = modeOf(this.#parts.plan(), known.nodeId) !== "none";
      const roles = request.roles.filter(({ role }) => role !== natsRole || isServer);
      const allowed = [...known.roles, natsRole];
      checkRoles(servicesOf({ roles }), allowed, `the token by which ${known.name} joined`);
      const answer = await this.#issue({ ...request, roles });
      await this.#put(this.#describe({ ...request, roles }, answer, known));
      return answer;
    });
  }

  /** Shuts a node out, by id or name. @throws NOT_FOUND, CONFLICT for the authority's own node */
  revoke(node: string): Promise<MemberRecord> {
    return this.#alone(async () => {
      const known = this.#known.get(node) ?? this.#named(node);
      if (known === undefined) throw new BerthError("NOT_FOUND", `no such node: ${node}`);
      if (known.nodeId === this.#parts.settings.nodeId)
        throw new BerthError("CONFLICT", `${known.name} has the authority of this engine, and can't be shut out of it`);
      if (known.isOut) return known;
      const member = { ...known, revokedAt: Date.now(), isOut: true };
      await this.#put(member);
      this.#parts.announcer.revoked(member.nodeId, member.revokedAt);
      this.#parts.announcer.natsRevocations(this.#natsRevocations());
      return member;
    });
  }

  #named(name: string): MemberRecord | undefined {
    return [...this.#known.values()].find((member) => member.name === name && !member.isOut);
  }

  /** A copy of a host has its certificates too: the one that was there first keeps them. */
  #checkTwin({ id, advertise }: RenewRequest["node"], known: MemberRecord): void {
    if (known.address !== advertise && this.#parts.isHeard(id)) throw idInUse(known);
  }

  /** One name a node, one image store a site. */
  #checkPlace({ node, roles }: RenewRequest): void {
    const namesake = this.#named(node.name);
    if (namesake !== undefined && namesake.nodeId !== node.id) {
      throw new BerthError(
        "CONFLICT",
        `a node named ${node.name} is there already (${namesake.address}); give this host another name (BERTH_NODE_NAME)`,
      );
    }
    if (!roles.some(({ role }) => role === "image-store")) return;
    const store = [...this.#known.values()].find(
      (member) =>
        !member.isOut &&
        member.nodeId !== node.id &&
        member.site === node.site &&
        member.services.includes("image-store"),
    );
    if (store === undefined) return;
    throw new BerthError(
      "CONFLICT",
      `the site "${node.site}" has its image store on ${store.name}; run this host without one (--services), or in another site (BERTH_SITE)`,
    );
  }

  async #issue({ node, roles }: RenewRequest): Promise<MembershipAnswer> {
    const { certificates, nats, settings, ttlMs } = this.#parts;
    const { cluster } = certificates;
    const credentials: Record<string, Credential> = {};
    const times = { issuedAt: Date.now(), expiresAt: Date.now() + ttlMs };
    for (const { role, request, natsKey } of roles) {
      const identity = { cluster, nodeId: node.id, role };
      const lifetime = role === launcherRole ? launcherTtlMs : ttlMs;
      // NATS servers look for each other by address.
      const address = role === natsRole ? node.advertise : undefined;
      const issued = await certificates.issue(request, identity, node.name, lifetime, address);
      const user =
        natsKey === "" || settings.natsAccount === undefined
          ? ""
          : await nats.userJwt(identity, natsKey, issued.expiresAt);
      credentials[role] = { certificate: issued.certificatePem, nats: user };
    }
    const { authorities, natsAccount = "" } = settings;
    const plan = this.#parts.plan();
    const isServer = roles.some(({ role }) => role === natsRole);
    return {
      cluster,
      ca: certificates.certificatePem,
      authorities,
      nats: plan === undefined ? settings.nats : plan.servers.map(({ url }) => url),
      plan: plan ?? null,
      server: plan !== undefined && isServer ? await serverSecrets(nats, plan, node.id) : null,
      natsAccount,
      credentials,
      ...times,
    };
  }

  #describe(
    { node, roles }: RenewRequest,
    { expiresAt }: MembershipAnswer,
    before: Partial<MemberRecord> & Pick<MemberRecord, "roles" | "joinedAt">,
  ): MemberRecord {
    const live = Object.entries(before.natsKeys ?? {}).filter(([, expiry]) => expiry > Date.now());
    const given = roles.filter(({ natsKey }) => natsKey !== "").map(({ natsKey }) => [natsKey, expiresAt] as const);
    return {
      nodeId: node.id,
      name: node.name,
      site: node.site,
      address: node.advertise,
      basePort: node.basePort,
      roles: before.roles,
      services: servicesOf({ roles }).filter((role) => role !== natsRole),
      joinedAt: before.joinedAt,
      expiresAt,
      natsKeys: Object.fromEntries([...live, ...given]),
      revokedAt: before.revokedAt,
      isOut: false,
    };
  }

  /** Users of nodes that are out: what NATS counts is when a JWT was issued, in seconds. */
  #natsRevocations(): Revocations {
    const gone = [...this.#known.values()].filter(({ isOut }) => isOut);
    const users = gone.flatMap(({ natsKeys, revokedAt = 0 }) =>
      Object.entries(natsKeys)
        .filter(([, expiry]) => expiry > Date.now())
        .map(([key]) => [key, Math.floor(revokedAt / 1000)] as const),
    );
    return Object.fromEntries(users);
  }

  async #put(member: MemberRecord): Promise<void> {
    await this.#parts.records.putMember(member);
    this.#known.set(member.nodeId, member);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(work, work);
    this.#changing = result.catch(() => undefined);
    return result;
  }
}

const servicesOf = ({ roles }: Pick<RenewRequest, "roles">): string[] =>
  roles.map(({ role }) => role).filter((role) => role !== launcherRole);

function checkRoles(asked: readonly string[], allowed: readonly string[], by: string): void {
  const unknown = asked.find((role) => !joinableRoles.includes(role) && !allowed.includes(role));
  if (unknown !== undefined) throw new BerthError("INVALID_ARGUMENT", `a host that joins can't run the ${unknown}`);
  const denied = asked.filter((role) => !allowed.includes(role));
  if (denied.length === 0) return;
  throw new BerthError(
    "FORBIDDEN",
    `${by} does not allow ${denied.join(", ")}, but ${allowed.join(", ")} (berth node token --roles)`,
  );
}

/** Says by how much a host's clock is wrong, rather than give it certificates that it would not take. */
function checkClock(clock: number): void {
  const ahead = clock - Date.now();
  if (Math.abs(ahead) <= maxClockSkewMs) return;
  const minutes = Math.floor(Math.abs(ahead) / 60_000);
  const seconds = Math.floor((Math.abs(ahead) % 60_000) / 1000);
  throw new BerthError(
    "INVALID_ARGUMENT",
    `this host's clock is ${minutes} min ${seconds} s ${ahead > 0 ? "ahead of" : "behind"} the engine's; set it right (NTP) and start again`,
  );
}

/** A token is no proof that a host is a node that is there: only the node's own certificate is. */
const idInUse = ({ nodeId, name, address }: MemberRecord) =>
  new BerthError(
    "CONFLICT",
    `node ${nodeId} is there already, as ${name} at ${address}: two hosts can't have one ROOT/node-id. ` +
      `If this host is to take its place, shut the other out first (berth node revoke ${name})`,
  );

const isRevoked = ({ revokedAt }: MemberRecord, issuedAt: number): boolean =>
  revokedAt !== undefined && issuedAt <= revokedAt;

function shutOut(nodeId: string, known: MemberRecord | undefined): BerthError {
  const back = "to let it in again, start it with --join and a new token (berth node token)";
  if (known?.revokedAt === undefined)
    return new BerthError("FORBIDDEN", `node ${nodeId} is not one of this engine; ${back}`);
  const since = new Date(known.revokedAt).toISOString();
  return new BerthError("FORBIDDEN", `node ${known.name} (${nodeId}) was shut out of this engine at ${since}; ${back}`);
}

/** Certificates tell whole seconds: one of the second of the revocation would count as issued before it. */
async function pastSecondOf(time: number): Promise<void> {
  const next = (Math.floor(time / 1000) + 1) * 1000;
  const left = next - Date.now();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}

/** When a certificate was issued, ms since the epoch, by the beginning of its validity. */
export const issuedAtOf = (validFrom: string): number => Date.parse(validFrom) + backdatedMs;
