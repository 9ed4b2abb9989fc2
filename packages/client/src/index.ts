/**
 * The typed client of a Berth engine: containers, images, volumes, events and nodes of all its hosts, over gRPC, through any of its gateways.
 * Every failure is a {@link BerthError} with a stable `reason`; every call takes an AbortSignal.
 */
import { Containers } from "./containers.ts";
import { Events } from "./events.ts";
import { Images } from "./images.ts";
import { Link } from "./link.ts";
import { Networks } from "./networks.ts";
import { Nodes } from "./nodes.ts";
import type { ConnectOptions } from "./options.ts";
import { Volumes } from "./volumes.ts";

export type {
  Container,
  ContainerConfig,
  ContainerSummary,
  HostConfig,
  Resources,
  StatsResponse,
} from "@berth/api/containers";
export { ContainerStatus } from "@berth/api/containers";
export type { Image } from "@berth/api/images";
export { BerthError, isBerthError, type Reason } from "@berth/errors";
export type {
  AttachOptions,
  Containers,
  ListContainers,
  RemoveOptions,
  StopOptions,
  UpdateContainer,
  Waiting,
} from "./containers.ts";
export type { CreateContainer } from "./create.ts";
export type { BerthEvent, Events, EventsQuery, EventType } from "./events.ts";
export type { ExecOptions, ExecState, Execs, RunningExec } from "./execs.ts";
export type { ByteSource, Change, CommitOptions, CopyInOptions, Files, PathStat } from "./files.ts";
export type { OutputName, OutputPiece } from "./frames.ts";
export type {
  ImageStep,
  Images,
  ImportImage,
  LayerState,
  ListImages,
  PullOptions,
  PullProgress,
  RemoveImage,
} from "./images.ts";
export type { LogsQuery } from "./logs.ts";
export type { Moment } from "./moment.ts";
export type { Network, Networks } from "./networks.ts";
export type { Capacity, Node, Nodes } from "./nodes.ts";
export type { CallOptions, ConnectOptions } from "./options.ts";
export type { ContainerStreams } from "./streams.ts";
export type { CreateVolume, Filters, Volume, Volumes } from "./volumes.ts";
export type { Exit, WaitFor } from "./wait.ts";

/** An engine, seen through its gateways. */
export interface Berth {
  readonly containers: Containers;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly events: Events;
  readonly nodes: Nodes;
  /** Ends the connection, and with it what is under way. */
  close(): void;
}

/**
 * Gives the client at once: the first call connects. `addresses` are those of gateways, "unix:/run/berth/gateway.sock" or "tcp:HOST:PORT"; of several
 * one is used until it is away.
 * @throws INVALID_ARGUMENT for what is no address
 */
export function connectBerth(addresses: string | readonly string[], options: ConnectOptions = {}): Berth {
  const link = new Link(typeof addresses === "string" ? [addresses] : addresses, options);
  const images = new Images(link);
  const events = new Events(link);
  return {
    containers: new Containers(link, images, events),
    images,
    volumes: new Volumes(link),
    networks: new Networks(link),
    events,
    nodes: new Nodes(link),
    close: () => link.close(),
  };
}
