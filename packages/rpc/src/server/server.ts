import type { Server as HttpServer } from "node:http";
import { HealthDefinition } from "@berth/api/health";
import { LaneDefinition } from "@berth/api/lane";
import { ServerReflectionDefinition } from "@berth/api/reflection";
import type { Revocations } from "@berth/bus";
import type { CommonConfig } from "@berth/config";
import type { Logger } from "@berth/log";
import { type CompatServiceDefinition, createServer, type Server, type ServiceDefinition } from "nice-grpc";
import { grpcTarget, parseAddress, protectSocket, takeOverSocket } from "../address.ts";
import { withLeanCodec, withRawCodec } from "../codec.ts";
import { serverOptions } from "../options.ts";
import { Identities, serverCredentials } from "../tls.ts";
import { OpenCalls } from "./calls.ts";
import { Guard, shutOut } from "./guard.ts";
import { Health } from "./health.ts";
import { Lanes } from "./lanes.ts";
import { Metrics, serveMetrics } from "./metrics.ts";
import {
  type Handler,
  type Implementation,
  type RawImplementation,
  type ServiceShape,
  wrapImplementation,
} from "./wrap.ts";

export interface RpcServerOptions {
  config: Pick<CommonConfig, "listen" | "metricsListen"> &
    Partial<Pick<CommonConfig, "nodeId" | "identityCa" | "identity">>;
  log: Logger;
  /** Nodes whose certificates are good no more; needed where TCP is served. */
  revocations?: Pick<Revocations, "has" | "onRevoked"> | undefined;
  /** Aborted: the server shuts down without waiting for calls. */
  signal?: AbortSignal | undefined;
}

export interface RpcServer {
  readonly metrics: Metrics;
  /** Adds a service; before listen(). */
  add<D extends CompatServiceDefinition>(definition: D, implementation: Implementation<D>): void;
  /** The same for one whose messages are passed on as they are. */
  addRaw<D extends CompatServiceDefinition & { methods: object }>(
    definition: D,
    implementation: RawImplementation<D>,
  ): void;
  /**
   * Binds every address of the configuration, /metrics included, and reports SERVING. Throws IN_USE when a live process
   * has a socket already, INVALID_ARGUMENT for TCP beyond loopback without certificates.
   */
  listen(): Promise<void>;
  /** Reports NOT_SERVING, takes no new calls, gives those under way `ms` to finish (streams 1 s), then ends them. */
  drain(ms: number): Promise<void>;
}

export function createRpcServer(options: RpcServerOptions): RpcServer {
  return new NiceServer(options);
}

/** A service with its handlers, and how its messages are read and written. */
interface Served {
  shape: ServiceShape;
  codec: ServiceDefinition;
  handlers: Record<string, Handler>;
}

/** ms that connections may take to close once their calls are over. */
const settleMs = 1_000;

/** False when the time, in ms, is over first. */
async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const timer = Promise.withResolvers<boolean>();
  const late = setTimeout(() => timer.resolve(false), ms);
  try {
    return await Promise.race([work.then(() => true), timer.promise]);
  } finally {
    clearTimeout(late);
  }
}

class NiceServer implements RpcServer {
  readonly metrics = new Metrics();
  readonly #options: RpcServerOptions;
  readonly #health = new Health();
  readonly #calls = new OpenCalls();
  readonly #lanes = new Lanes();
  readonly #services: Served[] = [];
  readonly #servers: Server[] = [];
  readonly #guard: Guard;
  readonly #identities: Identities | undefined;
  readonly #stopHearing: (() => void) | undefined;
  #metricsServer: HttpServer | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    const { config, log, revocations } = options;
    this.#guard = new Guard(config.nodeId ?? "", revocations, log);
    this.#identities = Identities.open(config, log);
    this.#stopHearing = revocations?.onRevoked((nodeId, until) => this.#calls.endOf(nodeId, until, shutOut));
    this.metrics.gauge("berth_rpc_server_lanes", "Lanes that callers have open", () => this.#lanes.open);
    options.signal?.addEventListener("abort", () => void this.drain(0), { once: true });
  }

  add<D extends CompatServiceDefinition>(definition: D, implementation: Implementation<D>): void {
    this.#add(definition, withLeanCodec(definition), implementation);
  }

  addRaw<D extends CompatServiceDefinition & { methods: object }>(
    definition: D,
    implementation: RawImplementation<D>,
  ): void {
    this.#add(definition, withRawCodec(definition), implementation);
  }

  #add(definition: CompatServiceDefinition, codec: ServiceDefinition, implementation: object): void {
    const shape = definition as unknown as ServiceShape;
    const { log } = this.#options;
    this.#health.addService(shape.fullName);
    const handlers = wrapImplementation(shape, implementation, {
      log,
      metrics: this.metrics,
      calls: this.#calls,
      guard: this.#guard,
    });
    this.#services.push({ shape, codec, handlers });
  }

  async listen(): Promise<void> {
    const { config, log } = this.#options;
    for (const { shape, codec, handlers } of this.#services) this.#lanes.add(shape, codec, handlers);
    // As it is: a lane is no call, but what calls come through, and lives until the last of them has ended.
    const lanes = this.#lanes.implementation as unknown as Record<string, Handler>;
    this.#services.push({ shape: LaneDefinition, codec: withLeanCodec(LaneDefinition), handlers: lanes });
    this.#addOwn(HealthDefinition, this.#health.implementation);
    this.#addOwn(ServerReflectionDefinition, this.#reflection());
    for (const address of config.listen) await this.#bind(address);
    if (config.metricsListen !== undefined) {
      this.#metricsServer = await serveMetrics(config.metricsListen, this.metrics.registry);
    }
    this.#health.set(true);
    log.info({ listen: config.listen }, "serving");
  }

  async drain(ms: number): Promise<void> {
    this.#health.set(false);
    this.#metricsServer?.close();
    const keepCalls = this.#calls.endAfter(ms);
    this.#lanes.stop();
    const servers = this.#servers.splice(0);
    const ended = Promise.all(servers.map((server) => server.shutdown()));
    // Every call was cut by then. A connection whose other end is cut off says nothing for minutes: nobody waits for that.
    if (!(await within(ended, ms + settleMs))) for (const server of servers) server.forceShutdown();
    keepCalls();
    this.#stopHearing?.();
    this.#identities?.close();
  }

  /** Health checks and reflection are not counted: they would be most of what the metrics tell. */
  #addOwn(definition: CompatServiceDefinition, implementation: object): void {
    const shape = definition as unknown as ServiceShape;
    const { log } = this.#options;
    const handlers = wrapImplementation(shape, implementation, {
      log,
      metrics: new Metrics(),
      calls: this.#calls,
      guard: this.#guard,
    });
    this.#services.push({ shape, codec: withLeanCodec(definition), handlers });
  }

  async #bind(address: string): Promise<void> {
    const parsed = parseAddress(address);
    const credentials = serverCredentials(parsed, this.#identities, this.#guard.interceptor);
    const server = createServer(serverOptions);
    for (const { codec, handlers } of this.#services) server.add(codec, handlers as never);
    if (parsed.kind === "unix") await takeOverSocket(parsed.path);
    await server.listen(grpcTarget(parsed), credentials);
    if (parsed.kind === "unix") protectSocket(parsed.path);
    this.#servers.push(server);
  }

  /** The descriptors are parsed at the first question: few processes ever get one. */
  #reflection(): object {
    const names = () => this.#services.map(({ shape }) => shape.fullName);
    return {
      async *serverReflectionInfo(requests: never) {
        const { answerReflection } = await import("./reflection.ts");
        yield* answerReflection(requests, names());
      },
    };
  }
}
