import { createServer, type Server } from "node:http";
import { Counter, type CounterConfiguration, Gauge, Histogram, Registry } from "prom-client";
import { parseAddress, protectSocket, takeOverSocket } from "../address.ts";

export interface MethodMetrics {
  /** A call begins; its clock, for end(). */
  begin(): number;
  end(start: number, code: number): void;
}

/** A service's own measurements; /metrics shows them and the calls'. Process figures are read when asked for. */
export class Metrics {
  readonly registry = new Registry();
  readonly #calls: Histogram<"service" | "method" | "code">;
  readonly #open: Gauge<"service" | "method">;

  constructor() {
    this.#calls = new Histogram({
      name: "berth_rpc_server_seconds",
      help: "Time that gRPC calls took, by method and status",
      labelNames: ["service", "method", "code"],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30],
      registers: [this.registry],
    });
    this.#open = new Gauge({
      name: "berth_rpc_server_open",
      help: "gRPC calls under way, by method",
      labelNames: ["service", "method"],
      registers: [this.registry],
    });
    this.gauge("process_resident_memory_bytes", "Resident memory size in bytes", () => process.memoryUsage.rss());
    this.gauge("process_cpu_seconds_total", "User and system CPU time spent in seconds", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
  }

  /** A figure that is read when somebody asks. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  counter<L extends string>(configuration: CounterConfiguration<L>): Counter<L> {
    return new Counter({ ...configuration, registers: [this.registry] });
  }

  /** The measurements of one method: looked up by their labels once, not at every call. */
  method(service: string, method: string): MethodMetrics {
    const open = this.#open.labels(service, method);
    const byCode = new Map<number, { observe(seconds: number): void }>();
    return {
      begin() {
        open.inc();
        return performance.now();
      },
      end: (start, code) => {
        open.dec();
        let calls = byCode.get(code);
        if (calls === undefined) {
          calls = this.#calls.labels(service, method, String(code));
          byCode.set(code, calls);
        }
        calls.observe((performance.now() - start) / 1000);
      },
    };
  }
}

/** Serves GET /metrics at a unix or tcp address. */
export async function serveMetrics(address: string, registry: Registry): Promise<Server> {
  const parsed = parseAddress(address);
  const server = createServer((request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  if (parsed.kind === "unix") await takeOverSocket(parsed.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (parsed.kind === "unix") server.listen(parsed.path, resolve);
    else server.listen(parsed.port, parsed.host, resolve);
  });
  if (parsed.kind === "unix") protectSocket(parsed.path);
  return server;
}
