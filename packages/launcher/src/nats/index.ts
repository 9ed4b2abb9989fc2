export { acquireNatsServer, defaultCacheDir } from "./acquire.ts";
export { type NatsServer, type NatsServerOptions, prepareNats, startNatsServer } from "./server.ts";
export { type NatsMember, prepareSharedNats, type SharedNats } from "./shared.ts";
