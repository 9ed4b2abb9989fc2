import type { Server } from "node:http";
import type { RpcServer } from "@berth/rpc";
import type { GatewayConfig } from "./config.ts";
import type { GatewayContext } from "./context.ts";
import { listen } from "./http/listen.ts";
import { addServices } from "./rpc/services.ts";

/** ms that answers under way are given when the gateway is asked to end. Streams are cut: their clients reconnect. */
const drainMs = 3_000;

/** Opens every address of the Engine API. The gRPC server beside it has the services of the nodes, as if it were one. */
export async function serve(server: RpcServer, context: GatewayContext, config: GatewayConfig): Promise<void> {
  addServices(server, context.services);
  const servers: Server[] = [];
  context.close = async () => {
    await closeAll(servers);
    context.api.cutStreams();
  };
  for (const address of config.addresses) {
    const usesTls = address.kind === "tcp" && address.tls;
    const server = context.api.createServer(usesTls ? config.tls : undefined);
    await listen(server, address, config.socketGroup);
    servers.push(server);
    context.log.info({ address }, "serving the Engine API");
  }
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  const closed = Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  for (const server of servers) server.closeIdleConnections();
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, drainMs);
  });
  await Promise.race([closed, deadline]);
  clearTimeout(timer);
  for (const server of servers) server.closeAllConnections();
}
