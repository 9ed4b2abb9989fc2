// What a host does about its identity: open itself to others, join, renew. Each leaves ROOT/identity complete or as it was.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { CertificateAuthority, createRequest, derOf, fingerprintOf } from "./certificates.ts";
import { askToJoin, askToRenew, ownAddressTowards } from "./client.ts";
import { makeSecretDirectory, writeSecret } from "./files.ts";
import {
  caFile,
  credsFile,
  hostPort,
  identityDirectory,
  identityFile,
  type NodeSettings,
  natsMoveCredsFile,
  natsPlanFile,
  natsRouteSecretFile,
  natsTrustFile,
  natsWatchCredsFile,
  portOf,
  readSettings,
  settingsFile,
} from "./layout.ts";
import { createNatsKey, credentials, NatsAuthority } from "./nats.ts";
import { modeOf, type NatsPlan, readPlan } from "./plan.ts";
import {
  launcherRole,
  type Membership,
  type NatsServerSecrets,
  type NodeDescription,
  natsRole,
  type RoleRequest,
} from "./protocol.ts";
import { decodeToken } from "./token.ts";

/** ROOT/authority: keys that vouch for everything else, and what the authority's service remembers. */
export const authorityDirectory = (root: string): string => join(root, "authority");

export interface HostDescription {
  root: string;
  nodeId: string;
  nodeName: string;
  site: string;
  advertise: string;
  basePort: number;
  services: string[];
}

export interface Renewed {
  /** When to renew, ms since the epoch: at two thirds of the certificates' life. */
  renewAt: number;
}

const renewalAfter = (issuedAt: number, expiresAt: number): Renewed => ({
  renewAt: issuedAt + ((expiresAt - issuedAt) * 2) / 3,
});

/** A host's keys for its roles, before anybody has vouched for them. */
interface Candidate extends RoleRequest {
  keyPem: string;
  natsSeed: string;
}

async function candidates(services: readonly string[], nodeName: string): Promise<Candidate[]> {
  return Promise.all(
    [...services, launcherRole].map(async (role) => {
      const { keyPem, requestPem } = await createRequest(nodeName);
      const nats = role === launcherRole || role === natsRole ? { seed: "", publicKey: "" } : createNatsKey();
      return { role, request: requestPem, natsKey: nats.publicKey, keyPem, natsSeed: nats.seed };
    }),
  );
}

/**
 * Makes the cluster's authority where there is none yet, and gives this host's services their certificates: it has the keys, and
 * needs to ask nobody. `nats`: URLs of a NATS that is somebody else's; without any, the cluster's own is on this host.
 */
export async function openHost(host: HostDescription, nats: readonly string[], ttlMs: number): Promise<Renewed> {
  const { root, nodeId, nodeName, advertise, basePort } = host;
  const authority = await CertificateAuthority.open(authorityDirectory(root));
  const trust = NatsAuthority.open(authorityDirectory(root), authority.cluster);
  makeSecretDirectory(identityDirectory(root));
  const ownNats = nats.length === 0;
  writeSecret(caFile(root), authority.certificatePem);
  let issuedAt = 0;
  const plan = ownNats ? (readPlan(natsPlanFile(root)) ?? firstPlan(host)) : undefined;
  const hasServer = modeOf(plan, nodeId) !== "none";
  for (const role of [...host.services, ...(hasServer ? [natsRole] : [])]) {
    const identity = { cluster: authority.cluster, nodeId, role };
    const { keyPem, requestPem } = await createRequest(nodeName);
    const issued = await authority.issue(
      requestPem,
      identity,
      nodeName,
      ttlMs,
      role === natsRole ? advertise : undefined,
    );
    // The authority shows its own certificate as well, to hosts that know nothing but its fingerprint.
    const chain = role === "authority" ? authority.certificatePem : "";
    writeSecret(identityFile(root, role), keyPem + issued.certificatePem + chain);
    issuedAt = issued.issuedAt;
    if (!ownNats || role === natsRole) continue;
    const user = createNatsKey();
    const jwt = await trust.userJwt(identity, user.publicKey, issued.expiresAt);
    writeSecret(credsFile(root, role), credentials(jwt, user.seed));
  }
  if (plan !== undefined && hasServer) keepServerSecrets(root, await serverSecrets(trust, plan, nodeId));
  if (plan !== undefined) keepPlan(root, plan);
  const settings: NodeSettings = {
    kind: "open",
    cluster: authority.cluster,
    nodeId,
    nodeName,
    advertise,
    basePort,
    authorities: [hostPort(advertise, portOf("join", basePort))],
    nats: plan === undefined ? [...nats] : plan.servers.map(({ url }) => url),
    ...(ownNats && { natsAccount: trust.account }),
    services: host.services,
  };
  writeSecret(settingsFile(root), `${JSON.stringify(settings, undefined, 2)}\n`);
  return renewalAfter(issuedAt, issuedAt + ttlMs);
}

/** The engine's fingerprint, as tokens pin it. */
export function fingerprintOfAuthority(root: string): string {
  return fingerprintOf(derOf(readFileSync(caFile(root), "utf8")));
}

/** Joins the engine that a token is for. @throws INVALID_ARGUMENT, UNAVAILABLE, UNAUTHENTICATED, or the authority's refusal */
export async function joinHost(given: HostDescription, token: string): Promise<Renewed> {
  const { addresses, fingerprint, id, secret } = decodeToken(token);
  const host = { ...given, advertise: given.advertise || (await ownAddressTowards(addresses)) };
  const asked = await candidatesKept(host);
  const body = { clock: Date.now(), node: describe(host), roles: withoutKeys(asked), token: { id, secret } };
  const membership = await askToJoin(addresses, fingerprint, body);
  return keep(host, membership, asked);
}

/** New certificates for a host that has joined. @throws UNAVAILABLE, UNAUTHENTICATED, FORBIDDEN when the node was revoked */
export async function renewHost(host: HostDescription): Promise<Renewed> {
  const settings = readSettings(host.root);
  if (settings === undefined) throw new BerthError("NOT_FOUND", `${host.root} has not joined anything`);
  const trust = {
    ca: readFileSync(caFile(host.root), "utf8"),
    identity: readFileSync(identityFile(host.root, launcherRole), "utf8"),
    cluster: settings.cluster,
  };
  const hasServer = modeOf(readPlan(natsPlanFile(host.root)), host.nodeId) !== "none";
  const asked = await candidates(hasServer ? [...host.services, natsRole] : host.services, host.nodeName);
  const body = { clock: Date.now(), node: describe(host), roles: withoutKeys(asked) };
  const membership = await askToRenew(settings.authorities, trust, body);
  return keep(host, membership, asked);
}

/**
 * The keys of a join that has begun are kept until it has succeeded: if the answer was lost, the same keys ask again, which the
 * authority takes for the same use of the token.
 */
async function candidatesKept(host: HostDescription): Promise<Candidate[]> {
  makeSecretDirectory(identityDirectory(host.root));
  const path = joiningFile(host.root);
  const wanted = [...host.services, launcherRole].join();
  if (existsSync(path)) {
    const kept = JSON.parse(readFileSync(path, "utf8")) as Candidate[];
    if (kept.map(({ role }) => role).join() === wanted) return kept;
  }
  const made = await candidates(host.services, host.nodeName);
  writeSecret(path, JSON.stringify(made));
  return made;
}

const joiningFile = (root: string): string => join(identityDirectory(root), "joining.json");

/** A word of the authority; an older one than is known here is not kept. */
export function keepPlan(root: string, plan: NatsPlan): void {
  const known = readPlan(natsPlanFile(root));
  if (known === undefined || known.version < plan.version) writeSecret(natsPlanFile(root), JSON.stringify(plan));
}

/** An engine that was just opened: the server that it has. */
const firstPlan = ({ nodeId, nodeName, advertise, basePort }: HostDescription): NatsPlan => ({
  version: 1,
  servers: [{ ...natsPlace(nodeId, nodeName, advertise, basePort), since: 1 }],
});

export const natsPlace = (nodeId: string, nodeName: string, advertise: string, basePort: number) => ({
  nodeId,
  nodeName,
  url: `tls://${hostPort(advertise, portOf("nats", basePort))}`,
  route: hostPort(advertise, portOf("nats-routes", basePort)),
});

/** How long a host has for moving its streams. It may ask again, ms. */
const moveMs = 10 * 60_000;

export async function serverSecrets(trust: NatsAuthority, plan: NatsPlan, nodeId: string): Promise<NatsServerSecrets> {
  const moves = plan.growth?.stage === "moving" && plan.growth.from === nodeId;
  const until = Date.now() + moveMs;
  return {
    trust: await trust.trustConfiguration(),
    routeSecret: trust.routeSecret,
    move: moves ? await trust.streamCredentials(until) : "",
    watch: moves ? await trust.watchCredentials(until) : "",
  };
}

function keepServerSecrets(root: string, { trust, routeSecret, move, watch }: NatsServerSecrets): void {
  writeSecret(natsTrustFile(root), trust);
  writeSecret(natsRouteSecretFile(root), routeSecret);
  for (const [file, content] of [
    [natsMoveCredsFile(root), move],
    [natsWatchCredsFile(root), watch],
  ] as const) {
    if (content) writeSecret(file, content);
    else rmSync(file, { force: true });
  }
}

const describe = ({ nodeId, nodeName, site, advertise, basePort }: HostDescription): NodeDescription => ({
  id: nodeId,
  name: nodeName,
  site,
  advertise,
  basePort,
});

const withoutKeys = (asked: readonly Candidate[]): RoleRequest[] =>
  asked.map(({ role, request, natsKey }) => ({ role, request, natsKey }));

function keep(host: HostDescription, membership: Membership, asked: readonly Candidate[]): Renewed {
  const { root, nodeId, nodeName, advertise, basePort, services } = host;
  const { cluster, ca, authorities, nats, natsAccount, plan, server, issuedAt, expiresAt } = membership;
  writeSecret(caFile(root), ca);
  for (const { role, keyPem, natsSeed } of asked) {
    const given = membership.credentials[role];
    // The plan that came with the answer has this host run NATS no more.
    if (given === undefined && role === natsRole) continue;
    if (given === undefined) throw new BerthError("INTERNAL", `the authority gave no certificate for the ${role}`);
    writeSecret(identityFile(root, role), keyPem + given.certificate);
    if (given.nats !== "") writeSecret(credsFile(root, role), credentials(given.nats, natsSeed));
  }
  // Before the plan, which has the launcher use them.
  if (server !== null) keepServerSecrets(root, server);
  if (plan !== null) keepPlan(root, plan);
  const account = natsAccount === "" ? {} : { natsAccount };
  const common = { cluster, nodeId, nodeName, advertise, basePort, authorities, nats, ...account, services };
  // Last: with it, the host has joined.
  writeSecret(settingsFile(root), `${JSON.stringify({ kind: "joined", ...common }, undefined, 2)}\n`);
  if (existsSync(joiningFile(root))) writeSecret(joiningFile(root), "[]");
  return renewalAfter(issuedAt, expiresAt);
}
