import { RegistryProxyDefinition } from "@berth/api/registry";
import type { RpcServer } from "@berth/rpc";
import type { RegistryProxyContext } from "../context.ts";
import { registryProxyService } from "./service.ts";

export function serve(server: RpcServer, context: RegistryProxyContext): void {
  server.add(RegistryProxyDefinition, registryProxyService(context.puller, context.log));
}
