/** gRPC for the services, both sides. With @berth/api the only code that knows the protocol. */

export type { CallContext } from "nice-grpc";
export type { CallOptions } from "./client/call.ts";
export {
  type Client,
  type Clients,
  type ClientsOptions,
  createClients,
  type RawClient,
  type RawMethod,
  type Target,
} from "./client/clients.ts";
export { createRpcServer, type RpcServer, type RpcServerOptions } from "./server/server.ts";
export type { Implementation, RawHandler, RawImplementation } from "./server/wrap.ts";
export { createServiceContext, runService, type ServiceContext, type ServiceParts, version } from "./service.ts";
export type { TlsFiles } from "./tls.ts";
export { markEnd, untilEnd } from "./whole.ts";
export { decodeMessage, encodeMessage, type MessageCodec, readText, withText } from "./wire.ts";
