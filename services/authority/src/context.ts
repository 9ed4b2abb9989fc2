import { join } from "node:path";
import { roles } from "@berth/bus";
import { BerthError, errorMessage } from "@berth/errors";
import {
  authorityDirectory,
  CertificateAuthority,
  caFile,
  fingerprintOfAuthority,
  identityFile,
  keepPlan,
  NatsAuthority,
  natsPlanFile,
  portOf,
  readPlan,
  readSettings,
} from "@berth/identity";
import { createServiceContext, type ServiceContext } from "@berth/rpc";
import { openStore } from "@berth/store";
import type { AuthorityConfig } from "./config.ts";
import { type Announcer, Membership } from "./domain/membership.ts";
import { NatsServers } from "./domain/nats-servers.ts";
import { Tokens } from "./domain/tokens.ts";
import { JoinListener } from "./http/listener.ts";
import { levelRecords } from "./store/records.ts";

export interface AuthorityContext extends ServiceContext {
  tokens: Tokens;
  membership: Membership;
  /** Undefined where NATS is somebody else's. */
  natsServers: NatsServers | undefined;
}

/** A user of NATS' system account is made for each word to the servers; it is good for this long, ms. */
const systemUserMs = 60_000;

export async function createContext(config: AuthorityConfig, signal: AbortSignal): Promise<AuthorityContext> {
  const { root, site, certificateTtl } = config;
  const settings = readSettings(root);
  if (settings?.kind !== "open")
    throw new BerthError("INVALID_ARGUMENT", `${root} is not open to other hosts (npm start -- --advertise ADDRESS)`);
  const service = await createServiceContext(config, signal);
  const { bus, log } = service;
  const directory = authorityDirectory(root);
  const certificates = await CertificateAuthority.open(directory);
  const nats = NatsAuthority.open(directory, certificates.cluster);
  const store = await openStore(join(config.stateDir, "records"));
  const records = levelRecords(store);
  const known = await records.load();
  const where = { addresses: settings.authorities, fingerprint: fingerprintOfAuthority(root) };
  const tokens = new Tokens(records, known.tokens, where);
  const failed = (what: string) => (error: unknown) =>
    log.error({ err: errorMessage(error) }, `${what} could not be told; they are told again when NATS is back`);
  const announcer: Announcer = {
    revoked: (nodeId, at) => void bus.revocations.publish(nodeId, at).catch(failed("revoked certificates")),
    natsRevocations: (revocations) => {
      if (settings.natsAccount === undefined) return;
      const tell = async () => {
        const credentials = await nats.systemCredentials(Date.now() + systemUserMs);
        await bus.updateAccount(await nats.accountJwt(revocations), credentials);
      };
      void tell().catch(failed("revoked NATS users"));
    },
  };
  const isHeard = (nodeId: string) =>
    roles.some((role) => bus.instances(role).some((instance) => instance.nodeId === nodeId));
  let changed: (() => void) | undefined;
  const servers = await natsServers();
  const parts = {
    records,
    tokens,
    certificates,
    nats,
    settings,
    ttlMs: certificateTtl,
    announcer,
    isHeard,
    plan: () => servers?.plan,
  };
  const membership = new Membership(parts, known.members);

  async function natsServers(): Promise<NatsServers | undefined> {
    const kept = readPlan(natsPlanFile(root));
    const plan = known.plan ?? kept;
    if (settings?.natsAccount === undefined || plan === undefined) return undefined;
    keepPlan(root, plan);
    return new NatsServers({
      plan,
      keep: async (next) => {
        await records.putPlan(next);
        keepPlan(root, next);
      },
      announce: () => changed?.(),
      servers: bus.servers,
      nats,
      members: () => membership.list(),
      isHeard,
      log,
    });
  }

  await membership.adoptSelf(site);
  servers?.resume();
  membership.announceAll();
  const stopListening = bus.onConnected((connected) => {
    if (connected) membership.announceAll();
  });
  const listener = await JoinListener.open({
    membership,
    host: settings.advertise,
    port: portOf("join", settings.basePort),
    identityFile: identityFile(root, "authority"),
    caFile: caFile(root),
    log,
  });
  return {
    ...service,
    tokens,
    membership,
    natsServers: servers,
    news: {
      read: () => (servers === undefined ? {} : { nats: servers.plan }),
      onChange: (listener) => {
        changed = listener;
      },
    },
    async close() {
      stopListening();
      await listener.close();
      await store.close();
    },
  };
}
