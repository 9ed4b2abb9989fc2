import type { Server as HttpServer } from "node:http";
import { HealthDefinition } from "@berth/api/health";
import { LaneDefinition } from "@berth/api/lane";
import { ServerReflectionDefinition } from "@berth/api/reflection";
import type { CommonConfig } from "@berth/config";
import type { Logger } from "@berth/log";
import { type CompatServiceDefinition, createServer, type Server } from "nice-grpc";
import { grpcTarget, parseAddress, protectSocket, takeOverSocket } from "../address.ts";
import { withLeanCodec } from "../codec.ts";
import { serverOptions } from "../options.ts";
import { serverCredentials } from "../tls.ts";
import { OpenCalls } from "./calls.ts";
import { Health } from "./health.ts";
import { Lanes } from "./lanes.ts";
import { Metrics, serveMetrics } from "./metrics.ts";
import { type Handler, type Implementation, type ServiceShape, wrapImplementation } from "./wrap.ts";

export interface RpcServerOptions {
  config: Pick<CommonConfig, "listen" | "metricsListen"> & Partial<Pick<CommonConfig, "tlsCa" | "tlsCert" | "tlsKey">>;
  log: Logger;
  /** Aborted: the server shuts down without waiting for calls. */
  signal?: AbortSignal | undefined;
}

export interface RpcServer {
  readonly metrics: Metrics;
  /** Adds a service; before listen(). */
  add<D extends CompatServiceDefinition>(definition: D, implementation: Implementation<D>): void;
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

class NiceServer implements RpcServer {
  readonly metrics = new Metrics();
  readonly #options: RpcServerOptions;
  readonly #health = new Health();
  readonly #calls = new OpenCalls();
  readonly #lanes = new Lanes();
  readonly #services: [ServiceShape, Record<string, Handler>][] = [];
  readonly #servers: Server[] = [];
  #metricsServer: HttpServer | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.metrics.gauge("berth_rpc_server_lanes", "Lanes that callers have open", () => this.#lanes.open);
    options.signal?.addEventListener("abort", () => void this.drain(0), { once: true });
  }

  add<D extends CompatServiceDefinition>(definition: D, implementation: Implementation<D>): void {
    const shape = definition as unknown as ServiceShape;
    const { log } = this.#options;
    this.#health.addService(shape.fullName);
    this.#services.push([
      shape,
      wrapImplementation(shape, implementation, { log, metrics: this.metrics, calls: this.#calls }),
    ]);
  }

  async listen(): Promise<void> {
    const { config, log } = this.#options;
    for (const [definition, wrapped] of this.#services) this.#lanes.add(definition, wrapped);
    // As it is: a lane is no call, but what calls come through, and lives until the last of them has ended.
    this.#services.push([LaneDefinition, this.#lanes.implementation as unknown as Record<string, Handler>]);
    this.#addOwn(HealthDefinition as unknown as ServiceShape, this.#health.implementation);
    this.#addOwn(ServerReflectionDefinition as unknown as ServiceShape, this.#reflection());
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
    await Promise.all(this.#servers.splice(0).map((server) => server.shutdown()));
    keepCalls();
  }

  /** Health checks and reflection are not counted: they would be most of what the metrics tell. */
  #addOwn(definition: ServiceShape, implementation: object): void {
    const { log } = this.#options;
    this.#services.push([
      definition,
      wrapImplementation(definition, implementation, { log, metrics: new Metrics(), calls: this.#calls }),
    ]);
  }

  async #bind(address: string): Promise<void> {
    const parsed = parseAddress(address);
    const credentials = serverCredentials(parsed, this.#options.config);
    const server = createServer(serverOptions);
    for (const [definition, implementation] of this.#services) {
      server.add(withLeanCodec(definition as unknown as CompatServiceDefinition), implementation as never);
    }
    if (parsed.kind === "unix") await takeOverSocket(parsed.path);
    await server.listen(grpcTarget(parsed), credentials);
    if (parsed.kind === "unix") protectSocket(parsed.path);
    this.#servers.push(server);
  }

  /** The descriptors are parsed at the first question: few processes ever get one. */
  #reflection(): object {
    const names = () => this.#services.map(([{ fullName }]) => fullName);
    return {
      async *serverReflectionInfo(requests: never) {
        const { answerReflection } = await import("./reflection.ts");
        yield* answerReflection(requests, names());
      },
    };
  }
}
