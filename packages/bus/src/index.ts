/** NATS for the services: presence, the stream of events, names that all hosts agree on. The only package that knows NATS. */
export { type Bus, type BusOptions, connectBus } from "./bus.ts";
export type { NatsTls } from "./connection.ts";
export {
  type EventRecord,
  type EventsQuery,
  type EventsRange,
  newEventId,
  nowNano,
  type SequencedEvent,
  settleMs,
} from "./events.ts";
export type { ContainerFacts, NameEntry, Names, NameValue } from "./names.ts";
export type { NodeDirectory, NodeFacts, NodeRecord } from "./node-directory.ts";
export type { Outbox } from "./outbox.ts";
export type { StreamPlace } from "./place.ts";
export type { Presence } from "./presence.ts";
export type { Revocations } from "./revocations.ts";
export { type Instance, type Load, type News, type Role, roles } from "./roles.ts";
export type { Credentials, NatsServers, ServerState } from "./servers.ts";
