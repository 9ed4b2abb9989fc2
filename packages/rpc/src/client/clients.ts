import type { Bus, Instance, Role } from "@berth/bus";
import { roles } from "@berth/bus/roles";
import { BerthError } from "@berth/errors";
import type { Logger } from "@berth/log";
import {
  type Channel,
  type CompatServiceDefinition,
  createClient,
  type Client as NiceClient,
  type ServiceDefinition,
} from "nice-grpc";
import { withLeanCodec, withRawCodec } from "../codec.ts";
import type { ServiceShape } from "../server/wrap.ts";
import type { TlsFiles } from "../tls.ts";
import { type CallOptions, CallScope, defaultTimeoutMs } from "./call.ts";
import { Channels, isReady, placeOf, waitReady } from "./channels.ts";
import { type Connect, UnaryCalls } from "./lane.ts";

export interface ClientsOptions extends TlsFiles {
  /** Ours: unix addresses of instances with the same one are used. */
  hostId: string;
  site?: string | undefined;
  log?: Logger | undefined;
  /** How long a call waits for an instance that is away to come (back), ms. */
  patienceMs?: number | undefined;
}

/** Which instances may answer; any of the role unless it says more. */
export interface Target {
  nodeId?: string | undefined;
  instanceId?: string | undefined;
}

/** As nice-grpc's, with `timeoutMs`; every failure is a BerthError. */
export type Client<D extends CompatServiceDefinition> = NiceClient<D, CallOptions>;

/** One method whose messages stay encoded: for one answer a promise, for a stream of them an iterable. */
export type RawMethod = (
  request: Buffer | AsyncIterable<Buffer>,
  options?: CallOptions,
) => Promise<Buffer> | AsyncIterable<Buffer>;

/** As {@link Client}, for whoever passes messages on. */
export type RawClient<D extends { methods: object }> = Record<keyof D["methods"], RawMethod>;

export interface Clients {
  /**
   * Calls go to a live instance picked anew for each: on this host first, then of this site, then any. A call whose
   * service is away waits for it a little (a restart takes under 2 s), then throws UNAVAILABLE.
   */
  client<D extends CompatServiceDefinition>(definition: D, role: Role, target?: Target): Client<D>;
  /** The same for messages that are passed on as they are. */
  raw<D extends CompatServiceDefinition & { methods: object }>(
    definition: D,
    role: Role,
    target?: Target,
  ): RawClient<D>;
  /** A client of one address, for a caller that has no bus (a CLI, the launcher). */
  at<D extends CompatServiceDefinition>(definition: D, address: string): Client<D>;
  close(): void;
}

const defaultPatienceMs = 5_000;

/** Without a bus only at() works. */
export function createClients(bus: Bus | undefined, options: ClientsOptions): Clients {
  const { patienceMs = defaultPatienceMs, hostId, site } = options;
  const unary = new UnaryCalls();
  const channels = new Channels(options, (channel) => unary.leave(channel));
  const stop = bus?.onInstances(() => channels.retain(liveAddresses(bus)));

  const connectTo = (role: Role, target: Target): Connect => {
    if (bus === undefined) throw new BerthError("INTERNAL", "a client by role needs a bus");
    const pick = makePicker(bus, role, target, hostId, site);
    const connected = async (address: string | undefined, signal: AbortSignal) => {
      const channel = channels.get(address ?? (await waitForInstance(bus, role, pick, patienceMs, signal)));
      if (!isReady(channel)) await waitReady(channel, patienceMs, `the ${role}`, signal);
      return channel;
    };
    return (scope) => {
      const address = pick();
      const channel = address === undefined ? undefined : channels.get(address);
      return channel !== undefined && isReady(channel) ? channel : connected(address, scope.signal);
    };
  };

  return {
    client: <D extends CompatServiceDefinition>(definition: D, role: Role, target: Target = {}) =>
      makeClient(definition, withLeanCodec(definition), unary, connectTo(role, target)) as Client<D>,
    raw: <D extends CompatServiceDefinition & { methods: object }>(definition: D, role: Role, target: Target = {}) =>
      makeClient(definition, withRawCodec(definition), unary, connectTo(role, target)) as unknown as RawClient<D>,
    at<D extends CompatServiceDefinition>(definition: D, address: string) {
      return makeClient(definition, withLeanCodec(definition), unary, async ({ signal }) => {
        const channel = channels.get(address);
        if (!isReady(channel)) await waitReady(channel, patienceMs, address, signal);
        return channel;
      }) as Client<D>;
    },
    close() {
      stop?.();
      channels.close();
    },
  };
}

function liveAddresses(bus: Bus): Set<string> {
  const live = new Set<string>();
  for (const role of roles) {
    for (const instance of bus.instances(role)) for (const address of instance.addresses) live.add(address);
  }
  return live;
}

/** The address of the best instance there is, taking turns among equals. */
function makePicker(bus: Bus, role: Role, { nodeId, instanceId }: Target, hostId: string, site: string | undefined) {
  let turn = 0;
  const reach = (instance: Instance): string | undefined => {
    const { addresses } = instance;
    const here = instance.hostId === hostId ? addresses.find((address) => address.startsWith("unix:")) : undefined;
    if (here !== undefined) return here;
    const there = addresses.find((address) => address.startsWith("tcp:"));
    return there === undefined ? undefined : placeOf(there, instance);
  };
  const distance = (instance: Instance): number => (instance.hostId === hostId ? 0 : instance.site === site ? 1 : 2);
  return (): string | undefined => {
    let best: string[] = [];
    let nearest = Number.POSITIVE_INFINITY;
    for (const instance of bus.instances(role)) {
      if (nodeId !== undefined && instance.nodeId !== nodeId) continue;
      if (instanceId !== undefined && instance.instanceId !== instanceId) continue;
      const address = reach(instance);
      const away = distance(instance);
      if (address === undefined || away > nearest) continue;
      if (away < nearest) best = [];
      nearest = away;
      best.push(address);
    }
    return best[turn++ % best.length];
  };
}

async function waitForInstance(
  bus: Bus,
  role: Role,
  pick: () => string | undefined,
  ms: number,
  signal: AbortSignal,
): Promise<string> {
  const found = await new Promise<string | undefined>((resolve) => {
    const end = (address: string | undefined) => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener("abort", aborted);
      resolve(address);
    };
    const aborted = () => end(undefined);
    const timer = setTimeout(aborted, ms);
    const stop = bus.onInstances(() => {
      const address = pick();
      if (address !== undefined) end(address);
    });
    signal.addEventListener("abort", aborted, { once: true });
  });
  signal.throwIfAborted();
  if (found === undefined) throw new BerthError("UNAVAILABLE", `no ${role} is running`);
  return found;
}

type Method = (request: unknown, options?: CallOptions) => unknown;

function makeClient(
  definition: CompatServiceDefinition,
  codec: ServiceDefinition,
  unary: UnaryCalls,
  connect: Connect,
): Record<string, Method> {
  const shape = definition as unknown as ServiceShape;
  const raw = new WeakMap<Channel, Record<string, Method>>();
  const on = (channel: Channel): Record<string, Method> => {
    let client = raw.get(channel);
    if (client === undefined) {
      client = createClient(codec, channel) as unknown as Record<string, Method>;
      raw.set(channel, client);
    }
    return client;
  };
  const methods: Record<string, Method> = {};
  for (const [key, method] of Object.entries(shape.methods)) {
    const name = `${shape.fullName.split(".").at(-1)}.${method.name}`;
    if (method.responseStream) methods[key] = streamMethod(key, name, connect, on);
    else if (method.requestStream) methods[key] = uploadMethod(key, name, connect, on);
    else methods[key] = unaryMethod(codec[key] as UnaryCodec, name, connect, unary);
  }
  return methods;
}

type On = (channel: Channel) => Record<string, Method>;

/** What a unary call needs of its method's definition. */
interface UnaryCodec {
  path: string;
  requestSerialize(message: unknown): Uint8Array;
  responseDeserialize(bytes: Uint8Array): unknown;
}

function unaryMethod(codec: UnaryCodec, name: string, connect: Connect, unary: UnaryCalls): Method {
  return oneAnswer(name, async (request, scope) => {
    const message = Buffer.from(codec.requestSerialize(request));
    return codec.responseDeserialize(await unary.call(codec.path, message, scope, connect));
  });
}

/** A stream of requests, one answer. */
function uploadMethod(key: string, name: string, connect: Connect, on: On): Method {
  return oneAnswer(name, async (request, scope) => {
    const channel = await connect(scope);
    return on(channel)[key]?.(request, scope.options());
  });
}

function oneAnswer(name: string, call: (request: unknown, scope: CallScope) => Promise<unknown>): Method {
  return async (request, options = {}) => {
    const scope = new CallScope(name, { ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs });
    try {
      return await call(request, scope);
    } catch (error) {
      throw scope.failure(error);
    } finally {
      scope.end();
    }
  };
}

function streamMethod(key: string, name: string, connect: Connect, on: On): Method {
  return async function* (request, options = {}) {
    const scope = new CallScope(name, options);
    try {
      const channel = await connect(scope);
      yield* on(channel)[key]?.(request, scope.options()) as AsyncIterable<unknown>;
    } catch (error) {
      throw scope.failure(error);
    } finally {
      scope.end();
    }
  };
}
