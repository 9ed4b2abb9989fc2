export { acquireNatsServer, defaultCacheDir } from "./acquire.ts";
export {
  type NatsServer,
  type NatsServerOptions,
  prepareNats,
  prepareSharedNats,
  type SharedNats,
  startNatsServer,
} from "./server.ts";
