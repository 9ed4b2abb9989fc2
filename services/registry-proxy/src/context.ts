import { createServiceContext, type ServiceContext } from "@berth/rpc";
import type { RegistryProxyConfig } from "./config.ts";
import { Puller } from "./domain/puller.ts";
import { imageStoreSink } from "./rpc/sink.ts";

export interface RegistryProxyContext extends ServiceContext {
  puller: Puller;
  close(): Promise<void>;
}

export async function createContext(config: RegistryProxyConfig, signal: AbortSignal): Promise<RegistryProxyContext> {
  const service = await createServiceContext(config, signal);
  const puller = new Puller({
    sink: imageStoreSink(service.clients, config.hostId),
    insecureRegistries: config.insecureRegistries,
    parallel: config.parallel,
    timeouts: { connect: config.connectTimeout, headers: config.answerTimeout, idle: config.idleTimeout },
  });
  return { ...service, puller, close: () => puller.close() };
}
