/** The native addon's typed face. */
export * from "./files.ts";
export * from "./layers.ts";
export * from "./logs.ts";
export * from "./mounts.ts";
export { isNativeError, type NativeError } from "./native.ts";
export * as net from "./net.ts";
export * from "./process.ts";
export * from "./quotas.ts";
export * from "./trees.ts";
