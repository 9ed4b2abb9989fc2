import { setTimeout as pause } from "node:timers/promises";
import { SupervisorDefinition } from "@berth/api/containers";
import { EventsDefinition } from "@berth/api/events";
import { ImageStoreDefinition } from "@berth/api/images";
import { NodesDefinition } from "@berth/api/nodes";
import { RegistryProxyDefinition } from "@berth/api/registry";
import { VolumesDefinition } from "@berth/api/volumes";
import { BerthError, isBerthError } from "@berth/errors";
import { type Client, type Clients, createClients } from "@berth/rpc/client";
import type { CallOptions, ConnectOptions } from "./options.ts";

/** The same for gRPC's own client, which wants what is not given left out. */
export interface GivenOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

export function given({ signal, timeoutMs }: CallOptions): GivenOptions {
  return { ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

type Call<T> = (services: Services, options: GivenOptions) => Promise<T>;

/** The services of one gateway. */
export interface Services {
  supervisor: Client<typeof SupervisorDefinition>;
  volumes: Client<typeof VolumesDefinition>;
  images: Client<typeof ImageStoreDefinition>;
  registry: Client<typeof RegistryProxyDefinition>;
  events: Client<typeof EventsDefinition>;
  nodes: Client<typeof NodesDefinition>;
}

const defaultPatienceMs = 60_000;
/** ms that one attempt to connect may take: there may be another gateway to ask. */
const connectMs = 2_000;
const retryMs = 100;

/** The way to the engine: one gateway of several at a time, another when that one is away. */
export class Link {
  readonly #clients: Clients;
  readonly #gateways: readonly Services[];
  readonly #patienceMs: number;
  #current = 0;

  /** @throws INVALID_ARGUMENT for what is no address */
  constructor(addresses: readonly string[], { tls, patienceMs = defaultPatienceMs }: ConnectOptions) {
    if (addresses.length === 0) throw new BerthError("INVALID_ARGUMENT", "no address of a gateway is given");
    this.#clients = createClients(undefined, {
      hostId: "",
      patienceMs: connectMs,
      identityCa: tls?.ca,
      identity: tls?.identity,
    });
    this.#gateways = addresses.map(normalAddress).map((address) => ({
      supervisor: this.#clients.at(SupervisorDefinition, address),
      volumes: this.#clients.at(VolumesDefinition, address),
      images: this.#clients.at(ImageStoreDefinition, address),
      registry: this.#clients.at(RegistryProxyDefinition, address),
      events: this.#clients.at(EventsDefinition, address),
      nodes: this.#clients.at(NodesDefinition, address),
    }));
    this.#patienceMs = patienceMs;
  }

  /** Of the gateway that is asked now. */
  get services(): Services {
    return this.#gateways[this.#current] as Services;
  }

  patience(): Patience {
    return new Patience(this.#patienceMs, () => {
      this.#current = (this.#current + 1) % this.#gateways.length;
    });
  }

  /** What changes something: a lost connection leaves open whether it was done. `defaultMs`: unless the options say otherwise. */
  async once<T>(call: Call<T>, options: CallOptions, defaultMs?: number): Promise<T> {
    try {
      return await call(this.services, given({ ...options, timeoutMs: options.timeoutMs ?? defaultMs }));
    } catch (error) {
      // Whoever tries again by themselves should not meet the same dead gateway.
      if (isUnavailable(error)) this.#current = (this.#current + 1) % this.#gateways.length;
      throw error;
    }
  }

  /** What may be asked any number of times. */
  async again<T>(call: Call<T>, options: CallOptions): Promise<T> {
    const patience = this.patience();
    for (;;) {
      try {
        return await call(this.services, given(options));
      } catch (error) {
        await patience.after(error, options.signal);
      }
    }
  }

  close(): void {
    this.#clients.close();
  }
}

/** For one operation that outlasts losses of the connection. */
export class Patience {
  readonly #ms: number;
  readonly #lost: () => void;
  #since: number | undefined;

  constructor(ms: number, lost: () => void) {
    this.#ms = ms;
    this.#lost = lost;
  }

  /** Something came: the next loss is waited for anew. */
  renew(): void {
    this.#since = undefined;
  }

  /** Resolves when it is time to try again. @throws `error`, unless it is a loss that is not too long ago */
  async after(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (!isUnavailable(error)) throw error;
    this.#lost();
    const now = performance.now();
    this.#since ??= now;
    if (now - this.#since >= this.#ms) throw error;
    try {
      await pause(retryMs, undefined, signal === undefined ? {} : { signal });
    } catch (cause) {
      throw new BerthError("CANCELLED", "the call was cancelled", {}, { cause });
    }
  }
}

const isUnavailable = (error: unknown): boolean => isBerthError(error) && error.reason === "UNAVAILABLE";

/** "tcp://host:port" and "unix:///path" are what users of docker write. */
const normalAddress = (address: string): string => address.replace(/^tcp:\/\//, "tcp:").replace(/^unix:\/\//, "unix:");
