import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type NatsSetup, serverBasics, writeDurably } from "./server.ts";

/** A server that other hosts use: mutual TLS, and users with a JWT each (packages/identity). */
export interface SharedNats {
  host: string;
  port: number;
  url: string;
  /** PEM: key and certificate. */
  identityFile: string;
  caFile: string;
  /** Whom it trusts, as a part of its configuration. */
  trustFile: string;
  /** Public key of the account that has the streams. */
  account: string;
  /** As one of several. */
  member?: NatsMember | undefined;
}

export interface NatsMember {
  cluster: string;
  serverName: string;
  /** Of the plan by which it became a server: what an earlier one kept is not its own. */
  since: number;
  routePort: number;
  /** "HOST:PORT" of the others. */
  routes: readonly string[];
  secretFile: string;
  /** Where clients reach the others. */
  clients: readonly string[];
  /** What it had on its own is in the cluster, as all others know. */
  settled: boolean;
}

/** Where a server on its own keeps its streams, and the one that is a member since `since`. */
const aloneStore = (directory: string): string => join(directory, "store");
const memberStore = (directory: string, since: number): string => join(directory, `member-${since}`);

/** Writes the configuration of a server for other hosts. What an engine stored before it was opened to them is kept. */
export function prepareSharedNats(directory: string, shared: SharedNats): NatsSetup {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { host, port, url, account, member } = shared;
  if (member === undefined) adoptStreams(directory, account);
  else forgetStores(directory, member);
  const configFile = join(directory, "nats-server.conf");
  const store = member === undefined ? aloneStore(directory) : memberStore(directory, member.since);
  writeDurably(configFile, sharedConfiguration(directory, store, shared));
  return { url, user: "", passwordFile: "", host, port, configFile };
}

/** A server with what was stored on its own, for this host alone: its streams are about to be moved. Gives its configuration. */
export function prepareSource(directory: string, shared: SharedNats, port: number): string {
  const configFile = join(directory, "nats-source.conf");
  const source = { ...shared, host: "127.0.0.1", port, member: undefined };
  writeDurably(configFile, sharedConfiguration(join(directory, "source"), aloneStore(directory), source));
  return configFile;
}

/** Whether there are streams that a member of a cluster could not take over as they are. */
export const hasOwnStreams = (directory: string): boolean => existsSync(aloneStore(directory));

/** What was moved is not this server's any more. In one step: before it the streams are here, behind it they are in the cluster. */
export function markMoved(directory: string): void {
  renameSync(aloneStore(directory), `${aloneStore(directory)}.moved`);
}

/** Of a server that is one no more, or is another one now. */
export function forgetStores(directory: string, member?: Pick<NatsMember, "since" | "settled">): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    if (/^member-\d+$/.test(name) && name !== `member-${member?.since}`)
      rmSync(join(directory, name), { recursive: true });
  }
  if (member?.settled !== false) rmSync(`${aloneStore(directory)}.moved`, { recursive: true, force: true });
  if (member === undefined) rmSync(aloneStore(directory), { recursive: true, force: true });
}

/**
 * JetStream keeps an account's streams below the account's name; without accounts there is a nameless one. A server that was a member
 * and is alone now takes over its streams: in a directory that has no word of a cluster, they are like any others.
 */
function adoptStreams(directory: string, account: string): void {
  const named = join(aloneStore(directory), "jetstream", account);
  const nameless = join(aloneStore(directory), "jetstream/$G");
  if (existsSync(nameless) && !existsSync(named)) renameSync(nameless, named);
  if (existsSync(named)) return;
  const members = readdirSync(directory).filter((name) => /^member-\d+$/.test(name));
  const [last] = members.sort((a, b) => Number(b.slice(7)) - Number(a.slice(7)));
  if (last === undefined || !existsSync(join(directory, last, "jetstream", account))) return;
  mkdirSync(join(aloneStore(directory), "jetstream"), { recursive: true, mode: 0o700 });
  renameSync(join(directory, last, "jetstream", account), named);
}

function sharedConfiguration(directory: string, store: string, shared: SharedNats): string {
  const { host, port, identityFile, caFile, trustFile, member } = shared;
  const tls = `cert_file: "${identityFile}", key_file: "${identityFile}", ca_file: "${caFile}", verify: true, timeout: 5`;
  return `${serverBasics(store, host, port, member?.serverName ?? "berth")}tls { ${tls} }
resolver { type: full, dir: "${join(directory, "accounts")}", allow_delete: false, interval: "2m" }
${readFileSync(trustFile, "utf8")}${member === undefined ? "" : clusterConfiguration(shared, member, tls)}`;
}

/** Every service has a certificate of the same authority: what makes a server one is the secret beside it. */
function clusterConfiguration({ host }: SharedNats, member: NatsMember, tls: string): string {
  const { cluster, routePort, routes, secretFile } = member;
  const secret = readFileSync(secretFile, "utf8").trim();
  return `cluster {
  name: "${cluster}"
  host: "${host}"
  port: ${routePort}
  authorization { user: route, password: "${secret}", timeout: 5 }
  tls { ${tls} }
  routes: [${routes.map((route) => `"tls://route:${secret}@${route}"`).join(", ")}]
}
`;
}
