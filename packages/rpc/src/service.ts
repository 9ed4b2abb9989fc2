import { randomUUID } from "node:crypto";
import { Socket } from "node:net";
import { type Bus, connectBus, type News, type Role } from "@berth/bus";
import type { CommonConfig } from "@berth/config";
import { errorMessage, isBerthError } from "@berth/errors";
import { inboxPrefix } from "@berth/identity/permissions";
import { identityIn } from "@berth/identity/uri";
import { createLogger, type Logger } from "@berth/log";
import { type Clients, createClients } from "./client/clients.ts";
import { followNatsPlan } from "./nats-plan.ts";
import { restWhenIdle } from "./rest.ts";
import { createRpcServer, type RpcServer } from "./server/server.ts";

/** What every service's context has; a service's own extends it. */
export interface ServiceContext {
  log: Logger;
  bus: Bus;
  clients: Clients;
  /** What is told of this instance at each beat, where its role has it; and who wants to know when it changes. */
  news?: { read(): News; onChange(listener: () => void): void };
  /** Ends what the service began, newest first. The bus is still there, and is drained after it. */
  close?(): Promise<void>;
}

export interface ServiceParts<Config extends CommonConfig, Context extends ServiceContext> {
  readConfig(): Config;
  /** Builds every part once. The signal aborts when the process is asked to end. */
  createContext(config: Config, signal: AbortSignal): Promise<Context>;
  /** Adds the service's calls, and starts whatever else it serves. Announced only after it resolves. */
  serve(server: RpcServer, context: Context, config: Config): void | Promise<void>;
}

export const version = "0.1.0";
/** What calls under way are given to finish. */
const drainMs = 10_000;

/** The parts that all services share: a logger, the bus, clients. */
export async function createServiceContext(config: CommonConfig, signal: AbortSignal): Promise<ServiceContext> {
  const log = createLogger({ service: config.service, level: config.logLevel });
  const bus = await connectBus({
    url: config.natsUrl,
    user: config.natsUser,
    passwordFile: config.natsPasswordFile,
    ...natsSecurity(config),
    name: `${config.service}@${config.nodeName}`,
    log,
    signal,
  });
  const clients = createClients(bus, { ...config, log });
  // What comes after this may fail, and then nobody else has them to close: an open connection would keep the process.
  const close = () => {
    if (signal.reason !== startFailed) return;
    clients.close();
    bus.drain().catch((error: unknown) => log.warn({ err: error }, "NATS was not left in order"));
  };
  signal.addEventListener("abort", close, { once: true });
  if (config.natsPlan !== undefined) followNatsPlan(bus, config.natsPlan, log);
  return { log, bus, clients };
}

/** Why the signal of a service aborts that could not start. */
const startFailed = new Error("the service could not start");

/** The cluster's own NATS is known by its role, and gives each service a place for answers that nobody else can listen at. */
function natsSecurity({ natsCreds, natsCa, natsIdentity, identityCa, nodeId, service }: CommonConfig) {
  const own = natsCa !== undefined && natsCa === identityCa;
  const check = (names: string | undefined) =>
    identityIn(names)?.role === "nats" ? undefined : new Error(`the server is no NATS of this cluster, but ${names}`);
  return {
    credsFile: natsCreds,
    tls:
      natsCa === undefined ? undefined : { caFile: natsCa, identityFile: natsIdentity, check: own ? check : undefined },
    inboxPrefix: own ? inboxPrefix(nodeId, service) : undefined,
  };
}

/**
 * The life of a service's process: read, build, serve, announce; on SIGTERM or SIGINT say bye, finish the calls, close.
 * Resolves at the end with process.exitCode set: 0 for an end that was asked for, 1 for one that was not.
 */
export async function runService<Config extends CommonConfig, Context extends ServiceContext>(
  role: Role,
  parts: ServiceParts<Config, Context>,
): Promise<void> {
  const ending = new AbortController();
  const end = () => ending.abort();
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  onLauncherGone(end);
  let log: Logger | undefined;
  try {
    const config = parts.readConfig();
    log = createLogger({ service: role, level: config.logLevel });
    await live(role, parts, config, log, ending.signal);
  } catch (error) {
    if (ending.signal.aborted) return;
    process.exitCode = 1;
    report(log ?? createLogger({ service: role }), error);
    ending.abort(startFailed);
  }
}

async function live<Config extends CommonConfig, Context extends ServiceContext>(
  role: Role,
  parts: ServiceParts<Config, Context>,
  config: Config,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const context = await parts.createContext(config, signal);
  const revocations = config.identity === undefined ? undefined : context.bus.revocations;
  const server = createRpcServer({ config, log, revocations });
  try {
    await parts.serve(server, context, config);
    await server.listen();
    const presence = context.bus.announce(
      {
        role,
        instanceId: randomUUID(),
        nodeId: config.nodeId,
        nodeName: config.nodeName,
        hostId: config.hostId,
        site: config.site,
        addresses: [...config.listen],
        version,
        startedAt: new Date().toISOString(),
      },
      context.news?.read,
    );
    context.news?.onChange(() => presence.changed());
    const stopResting = restWhenIdle();
    await aborted(signal);
    stopResting();
    log.info("draining");
    presence.leave();
    await server.drain(drainMs);
  } finally {
    await server.drain(0);
    await context.close?.();
    context.clients.close();
    await context.bus.drain();
  }
}

/** The launcher holds the other end of a pipe (its number is in the environment): its end is that of the launcher. */
function onLauncherGone(end: () => void): void {
  const descriptor = process.env["BERTH_LAUNCHER_PIPE"];
  // Programs that this service starts have another parent.
  delete process.env["BERTH_LAUNCHER_PIPE"];
  if (descriptor === undefined) return;
  const pipe = new Socket({ fd: Number(descriptor), readable: true, writable: false });
  pipe.once("error", end).once("end", end).resume().unref();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The timer keeps the process alive even if nothing else does.
    const alive = setInterval(() => {}, 3_600_000);
    const done = () => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) done();
    else signal.addEventListener("abort", done, { once: true });
  });
}

/** A mistake in the configuration is one line; what nobody foresaw comes with its stack. */
function report(log: Logger, error: unknown): void {
  if (isBerthError(error) && error.reason !== "INTERNAL") log.fatal({ reason: error.reason }, errorMessage(error));
  else log.fatal({ err: error }, "the service cannot go on");
}
