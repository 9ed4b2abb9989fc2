import type { HealthDefinition } from "@berth/api/health";
import { HealthCheckResponse_ServingStatus as Status } from "@berth/api/health";
import { BerthError } from "@berth/errors";
import type { ServiceImplementation } from "nice-grpc";

/** grpc.health.v1 (grpc/doc/health-checking.md) for one process: all its services serve, or none does. */
export class Health {
  #serving = false;
  readonly #names = new Set<string>([""]);
  readonly #watchers = new Set<() => void>();

  addService(name: string): void {
    this.#names.add(name);
  }

  set(serving: boolean): void {
    if (this.#serving === serving) return;
    this.#serving = serving;
    for (const wake of [...this.#watchers]) wake();
  }

  readonly implementation: ServiceImplementation<typeof HealthDefinition> = {
    check: ({ service }) => {
      if (!this.#names.has(service)) return Promise.reject(new BerthError("NOT_FOUND", `no service ${service} here`));
      return Promise.resolve({ status: this.#status(service) });
    },
    watch: ({ service }, { signal }) => this.#watch(service, signal),
  };

  #status(service: string): Status {
    if (!this.#names.has(service)) return Status.SERVICE_UNKNOWN;
    return this.#serving ? Status.SERVING : Status.NOT_SERVING;
  }

  async *#watch(service: string, signal: AbortSignal) {
    let told: Status | undefined;
    while (!signal.aborted) {
      const status = this.#status(service);
      if (status !== told) {
        told = status;
        yield { status };
        continue;
      }
      await this.#change(signal);
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#watchers.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#watchers.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
