/** The side of the callers alone: what a program needs that is no service, and has no bus. */

export { markEnd } from "../whole.ts";
export type { CallOptions } from "./call.ts";
export { type Client, type Clients, createClients } from "./clients.ts";
