// What a host and the authority say to each other: JSON over HTTPS, since the launcher's helper speaks nothing else and a host that
// joins has no certificate yet. POST /join on a connection that pins the authority's certificate; POST /renew on one by mutual TLS.
import { BerthError } from "@berth/errors";
import type { NatsPlan } from "./plan.ts";

/** Of a NATS server, which no service is. */
export const natsRole = "nats";
/** What renews a host's certificates; it has one of its own. */
export const launcherRole = "launcher";
/**
 * How long that one is good, ms: a host that was off for a month comes back by itself. No service takes it, and the authority, which
 * alone does, knows itself who was shut out.
 */
export const launcherTtlMs = 365 * 24 * 3_600_000;
/** How far a host's clock may be from the authority's, ms: beyond it, certificates would be taken for expired, or not valid yet. */
export const maxClockSkewMs = 5 * 60_000;
export const maxBodyBytes = 128 * 1024;
const maxRoles = 16;

export interface RoleRequest {
  role: string;
  /** PKCS #10, PEM. */
  request: string;
  /** Public key of its NATS user; empty for a role that does not talk to NATS. */
  natsKey: string;
}

export interface NodeDescription {
  id: string;
  name: string;
  site: string;
  advertise: string;
  basePort: number;
}

export interface RenewRequest {
  /** The host's, ms since the epoch. */
  clock: number;
  node: NodeDescription;
  roles: RoleRequest[];
}

export interface JoinRequest extends RenewRequest {
  token: { id: string; secret: string };
}

export interface Credential {
  certificate: string;
  /** A NATS user's JWT; empty where there is none. */
  nats: string;
}

/** What a host needs beside its certificate to run one of the cluster's NATS servers. */
export interface NatsServerSecrets {
  /** Part of the server's configuration. */
  trust: string;
  routeSecret: string;
  /** Credentials for moving its streams into a cluster; empty when there is nothing to move. */
  move: string;
  /** Credentials for seeing whether the cluster has them; empty as well. Absent: the authority is of an older version. */
  watch?: string;
}

export interface Membership {
  cluster: string;
  /** The authority's certificate, PEM. */
  ca: string;
  authorities: string[];
  nats: string[];
  natsAccount: string;
  /** Which hosts run NATS; null where it is somebody else's. */
  plan: NatsPlan | null;
  /** For a host that runs a NATS server. */
  server: NatsServerSecrets | null;
  credentials: Record<string, Credential>;
  /** ms since the epoch, of the authority's clock */
  issuedAt: number;
  expiresAt: number;
}

/** @throws INVALID_ARGUMENT */
export function readRenewRequest(value: unknown): RenewRequest {
  const { clock, node, roles } = asObject(value, "the request");
  if (typeof clock !== "number" || !Number.isFinite(clock)) throw bad("clock");
  if (!Array.isArray(roles) || roles.length === 0 || roles.length > maxRoles) throw bad("roles");
  const read = roles.map(readRole);
  if (new Set(read.map(({ role }) => role)).size !== read.length) throw bad("roles: one is named twice");
  return { clock, node: readNode(node), roles: read };
}

/** @throws INVALID_ARGUMENT */
export function readJoinRequest(value: unknown): JoinRequest {
  const { token } = asObject(value, "the request");
  const { id, secret } = asObject(token, "token");
  return {
    ...readRenewRequest(value),
    token: { id: word(id, "token.id", 64), secret: word(secret, "token.secret", 64) },
  };
}

function readRole(value: unknown): RoleRequest {
  const { role, request, natsKey } = asObject(value, "roles");
  if (typeof role !== "string" || !/^[a-z][a-z-]{0,31}$/.test(role)) throw bad("role");
  if (typeof request !== "string" || request.length > 8192) throw bad("request");
  if (typeof natsKey !== "string" || natsKey.length > 128) throw bad("natsKey");
  return { role, request, natsKey };
}

function readNode(value: unknown): NodeDescription {
  const { id, name, site, advertise, basePort } = asObject(value, "node");
  if (!Number.isInteger(basePort) || Number(basePort) < 1 || Number(basePort) > 65_535) throw bad("node.basePort");
  if (typeof advertise !== "string" || !/^[\w.:-]{1,255}$/.test(advertise)) throw bad("node.advertise");
  return {
    id: word(id, "node.id", 64),
    name: nodeName(name),
    site: word(site, "node.site", 64),
    advertise,
    basePort: Number(basePort),
  };
}

/** A host name's length is what X.509 allows a common name. */
function nodeName(value: unknown): string {
  if (typeof value === "string" && /^[A-Za-z0-9][\w.-]{0,63}$/.test(value)) return value;
  throw new BerthError(
    "INVALID_ARGUMENT",
    "the node's name is not valid, expected 1 to 64 letters, digits, _ . or - (BERTH_NODE_NAME)",
  );
}

function word(value: unknown, what: string, length: number): string {
  if (typeof value === "string" && value.length <= length && /^[\w-]+$/.test(value)) return value;
  throw bad(what);
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw bad(what);
}

const bad = (what: string) => new BerthError("INVALID_ARGUMENT", `not a request of a host: ${what} is not valid`);
