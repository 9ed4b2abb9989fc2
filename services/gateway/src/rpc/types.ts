import type { AuthorityDefinition } from "@berth/api/authority";
import type { MovesDefinition, SupervisorDefinition } from "@berth/api/containers";
import type { ImageStoreDefinition } from "@berth/api/images";
import type { RegistryProxyDefinition } from "@berth/api/registry";
import type { SnapshotterDefinition } from "@berth/api/snapshots";
import type { VolumesDefinition } from "@berth/api/volumes";
import type { Client } from "@berth/rpc";

/** The messages that the gateway translates to and from. Everything else here imports them from this file. */
export type { Member, Token } from "@berth/api/authority";
export { AuthorityDefinition } from "@berth/api/authority";
export type {
  Container,
  ContainerConfig,
  ContainerSpec,
  ContainerState,
  ContainerSummary,
  Endpoint,
  EndpointSpec,
  Health,
  Healthcheck,
  HostConfig,
  InspectExecResponse,
  InterfaceStats,
  LogPlace,
  LogsRequest,
  LogsResponse,
  MountPoint,
  MountSpec,
  MovePiece,
  Network,
  NodeInfoResponse,
  OpenStreamResponse,
  PathStat,
  PlanMoveResponse,
  PortBinding,
  PublishedPort,
  Resources,
  RestartPolicy,
  SendContainerRequest,
  SendContainerResponse,
  StatsResponse,
  StreamResponse,
} from "@berth/api/containers";
export {
  ChangeKind,
  Container as ContainerMessage,
  ContainerStatus,
  ContainerSummary as ContainerSummaryMessage,
  MovePart_Kind as MovePartKind,
  MovesDefinition,
  ReceiveContainerResponse_Phase as MovePhase,
  SupervisorDefinition,
  WaitCondition,
} from "@berth/api/containers";
export type { Image, ImageUse, LoadImagesResponse } from "@berth/api/images";
export { ImageStoreDefinition } from "@berth/api/images";
export type { FetchResponse, LayerProgress, PullResponse, RegistryAuth } from "@berth/api/registry";
export { LayerStatus, RegistryProxyDefinition } from "@berth/api/registry";
export type { UnpackResponse } from "@berth/api/snapshots";
export { SnapshotterDefinition, UnpackStatus } from "@berth/api/snapshots";
export type { Layer, LocalStream, Platform } from "@berth/api/types";
export type { Volume } from "@berth/api/volumes";
export { VolumesDefinition } from "@berth/api/volumes";
export { markEnd } from "@berth/rpc";

/** google.protobuf.Timestamp as ts-proto gives it. */
export interface Timestamp {
  seconds: number;
  nanos: number;
}

export type Authority = Client<typeof AuthorityDefinition>;
export type Supervisor = Client<typeof SupervisorDefinition>;
export type MovesClient = Client<typeof MovesDefinition>;
export type VolumesClient = Client<typeof VolumesDefinition>;
export type ImageStore = Client<typeof ImageStoreDefinition>;
export type RegistryProxy = Client<typeof RegistryProxyDefinition>;
export type Snapshotter = Client<typeof SnapshotterDefinition>;
