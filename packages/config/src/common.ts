import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { type ConfigOf, type ConfigSpec, readConfig, type Sources } from "./read.ts";

/** What every service is told. The launcher sets these in the environment of the services it starts. */
export const commonConfig = {
  root: { env: "BERTH_ROOT", flag: "root", type: "string", default: "/var/lib/berth", doc: "state directory" },
  runDir: { env: "BERTH_RUN_DIR", flag: "run-dir", type: "string", default: "/run/berth", doc: "directory of sockets" },
  nodeId: {
    env: "BERTH_NODE_ID",
    flag: "node-id",
    type: "string",
    optional: true,
    doc: "id of this node, kept in ROOT/node-id",
  },
  nodeName: {
    env: "BERTH_NODE_NAME",
    flag: "node-name",
    type: "string",
    optional: true,
    doc: "name of this node, the host's unless given",
  },
  hostId: {
    env: "BERTH_HOST_ID",
    flag: "host-id",
    type: "string",
    optional: true,
    doc: "id shared by services that see the same directories, kept in RUN_DIR/host-id",
  },
  site: {
    env: "BERTH_SITE",
    flag: "site",
    type: "string",
    default: "default",
    doc: "name of the site (one image store a site)",
  },
  listen: {
    env: "BERTH_LISTEN",
    flag: "listen",
    type: "list",
    optional: true,
    doc: "addresses to serve gRPC at, unix:PATH or tcp:HOST:PORT; unix:RUN_DIR/SERVICE.sock unless given",
  },
  metricsListen: {
    env: "BERTH_METRICS_LISTEN",
    flag: "metrics-listen",
    type: "string",
    optional: true,
    doc: "address of HTTP /metrics, unix:RUN_DIR/SERVICE.metrics.sock unless given, none to serve no metrics",
  },
  natsUrl: {
    env: "BERTH_NATS_URL",
    flag: "nats-url",
    type: "string",
    default: "nats://127.0.0.1:4222",
    doc: "NATS server, several separated by commas",
  },
  natsUser: {
    env: "BERTH_NATS_USER",
    flag: "nats-user",
    type: "string",
    optional: true,
    doc: "user at the NATS server",
  },
  natsPasswordFile: {
    env: "BERTH_NATS_PASSWORD_FILE",
    flag: "nats-password-file",
    type: "string",
    optional: true,
    doc: "file that holds the NATS password",
  },
  natsCreds: {
    env: "BERTH_NATS_CREDS",
    flag: "nats-creds",
    type: "string",
    optional: true,
    doc: "file with a NATS user's JWT and seed, instead of user and password",
  },
  natsCa: {
    env: "BERTH_NATS_CA",
    flag: "nats-ca",
    type: "string",
    optional: true,
    doc: "PEM file of the authorities that vouch for the NATS servers",
  },
  natsIdentity: {
    env: "BERTH_NATS_IDENTITY",
    flag: "nats-identity",
    type: "string",
    optional: true,
    doc: "PEM file of the key and certificate shown to the NATS servers",
  },
  natsPlan: {
    env: "BERTH_NATS_PLAN",
    flag: "nats-plan",
    type: "string",
    optional: true,
    doc: "file in which this service keeps which hosts run NATS, for the launcher",
  },
  identityCa: {
    env: "BERTH_IDENTITY_CA",
    flag: "identity-ca",
    type: "string",
    optional: true,
    doc: "PEM file of the authority trusted between hosts",
  },
  identity: {
    env: "BERTH_IDENTITY",
    flag: "identity",
    type: "string",
    optional: true,
    doc: "PEM file of this service's key and certificate between hosts",
  },
  logLevel: {
    env: "BERTH_LOG_LEVEL",
    flag: "log-level",
    type: "string",
    default: "info",
    choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
    doc: "least level logged",
  },
} as const satisfies ConfigSpec;

/** {@link commonConfig} with everything that depends on the service or the host filled in. */
export interface CommonConfig {
  readonly service: string;
  readonly root: string;
  readonly runDir: string;
  /** ROOT/SERVICE, this service's own. */
  readonly stateDir: string;
  readonly nodeId: string;
  readonly nodeName: string;
  readonly hostId: string;
  readonly site: string;
  readonly listen: readonly string[];
  /** Undefined: no metrics are served. */
  readonly metricsListen: string | undefined;
  readonly natsUrl: string;
  readonly natsUser: string | undefined;
  readonly natsPasswordFile: string | undefined;
  readonly natsCreds: string | undefined;
  readonly natsCa: string | undefined;
  readonly natsIdentity: string | undefined;
  readonly natsPlan: string | undefined;
  /** PEM files for gRPC between hosts: both or none. */
  readonly identityCa: string | undefined;
  readonly identity: string | undefined;
  readonly logLevel: string;
}

/**
 * Reads the common settings and a service's own. Makes ROOT and RUN_DIR if they are missing, and the ids kept there.
 * Throws INVALID_ARGUMENT with the key and what was expected; a flag or a BERTH_<SERVICE>_ key not in the spec is one.
 */
export function readServiceConfig<const S extends ConfigSpec = Record<never, never>>(
  service: string,
  spec?: S,
  sources: Sources = {},
): CommonConfig & ConfigOf<S> {
  const envPrefix = `BERTH_${service.toUpperCase().replaceAll("-", "_")}_`;
  const read = readConfig({ ...commonConfig, ...spec }, { envPrefix, ...sources }) as ConfigOf<typeof commonConfig>;
  const { root, runDir } = read;
  requireAbsolute("BERTH_ROOT", root);
  requireAbsolute("BERTH_RUN_DIR", runDir);
  if ((read.identityCa === undefined) !== (read.identity === undefined))
    throw new BerthError("INVALID_ARGUMENT", "BERTH_IDENTITY and BERTH_IDENTITY_CA: expected both or none");
  for (const directory of [root, runDir]) mkdirSync(directory, { recursive: true, mode: 0o755 });
  const metrics = read.metricsListen ?? `unix:${join(runDir, `${service}.metrics.sock`)}`;
  const listen = read.listen ?? [`unix:${join(runDir, `${service}.sock`)}`];
  for (const address of [...listen, ...(metrics === "none" ? [] : [metrics])]) requireAddress(address);
  const common: CommonConfig = {
    service,
    root,
    runDir,
    stateDir: join(root, service),
    nodeId: requireId("BERTH_NODE_ID", read.nodeId ?? keptId(root, "node-id")),
    nodeName: read.nodeName ?? hostname(),
    hostId: requireId("BERTH_HOST_ID", read.hostId ?? keptId(runDir, "host-id")),
    site: requireId("BERTH_SITE", read.site),
    listen,
    metricsListen: metrics === "none" ? undefined : metrics,
    natsUrl: read.natsUrl,
    natsUser: read.natsUser,
    natsPasswordFile: read.natsPasswordFile,
    natsCreds: read.natsCreds,
    natsCa: read.natsCa,
    natsIdentity: read.natsIdentity,
    natsPlan: read.natsPlan,
    identityCa: read.identityCa,
    identity: read.identity,
    logLevel: read.logLevel,
  };
  return Object.freeze({ ...read, ...common }) as unknown as CommonConfig & ConfigOf<S>;
}

/** The random id in `directory/name`, made by whichever process comes first (link makes the file whole or not at all). */
function keptId(directory: string, name: string): string {
  const path = join(directory, name);
  const read = () => readFileSync(path, "utf8").trim();
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const temporary = `${path}.${randomUUID()}`;
  writeFileSync(temporary, `${randomUUID().replaceAll("-", "")}\n`, { mode: 0o644, flush: true });
  try {
    linkSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
  return read();
}

/** Ids become parts of NATS subjects and file names. */
function requireId(key: string, value: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(value)) return value;
  throw new BerthError("INVALID_ARGUMENT", `${key}: "${value}" is not valid, expected 1 to 64 letters, digits, _ or -`);
}

function requireAbsolute(key: string, path: string): void {
  if (!path.startsWith("/"))
    throw new BerthError("INVALID_ARGUMENT", `${key}: "${path}" is not valid, expected an absolute path`);
}

function requireAddress(address: string): void {
  if (/^unix:\/.+|^tcp:.+:\d{1,5}$/.test(address)) return;
  throw new BerthError("INVALID_ARGUMENT", `"${address}" is not valid, expected unix:/PATH or tcp:HOST:PORT`);
}
