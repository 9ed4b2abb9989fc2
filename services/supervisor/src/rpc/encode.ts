import {
  type Container as ContainerMessage,
  ContainerStatus,
  type ContainerSummary,
  type DeepPartial,
  type Health,
  type ContainerState as StateMessage,
} from "@berth/api/containers";
import type { ContainerRecord, ContainerState, Health as HealthRecord, Status } from "../domain/model.ts";
import { toNano } from "../domain/time.ts";

const statusNumbers: Record<Status, ContainerStatus> = {
  created: ContainerStatus.CREATED,
  running: ContainerStatus.RUNNING,
  paused: ContainerStatus.PAUSED,
  restarting: ContainerStatus.RESTARTING,
  removing: ContainerStatus.REMOVING,
  exited: ContainerStatus.EXITED,
  dead: ContainerStatus.DEAD,
};

export interface View {
  record: ContainerRecord;
  nodeId: string;
  nodeName: string;
  logPath: string;
  /** Files on the host. */
  etc: { resolvConf: string; hostname: string; hosts: string };
  execIds: string[];
  sizes: { rw: number; rootFs: number } | undefined;
  /** "/child:/parent/alias" */
  links: string[];
  /** "parent/alias" */
  linkNames: string[];
}

export function encodeContainer(view: View): DeepPartial<ContainerMessage> {
  const { record, etc } = view;
  const { state } = record;
  return {
    id: record.id,
    name: record.name,
    spec: { ...record.spec, hostConfig: { ...record.spec.hostConfig, links: view.links } },
    linkNames: view.linkNames,
    state: encodeState(state),
    created: timestamp(record.created),
    path: record.path,
    args: record.args,
    nodeId: view.nodeId,
    nodeName: view.nodeName,
    restartCount: record.restartCount,
    hasBeenManuallyStopped: record.hasBeenManuallyStopped,
    ports: record.ports,
    endpoints: record.endpoints,
    mounts: record.mounts,
    logPath: view.logPath,
    resolvConfPath: etc.resolvConf,
    hostnamePath: etc.hostname,
    hostsPath: etc.hosts,
    sandboxKey: state.pid > 0 ? `/proc/${state.pid}/ns/net` : "",
    execIds: view.execIds,
    ...(view.sizes && { sizeRw: view.sizes.rw, sizeRootFs: view.sizes.rootFs }),
    driver: "overlay2",
    upperDir: record.layerDirs[0] ?? "",
  };
}

export type SummaryView = Pick<View, "record" | "nodeId" | "linkNames" | "sizes">;

/** What a list shows of a container. */
export function encodeSummary({ record, nodeId, linkNames, sizes }: SummaryView): DeepPartial<ContainerSummary> {
  const { spec, state } = record;
  const { config, hostConfig } = spec;
  // The log of its health checks is inspect's.
  const { health, ...rest } = state;
  return {
    id: record.id,
    name: record.name,
    image: config.image,
    imageId: spec.imageId,
    mountedImageIds: hostConfig.mounts.flatMap(({ imageId }) => (imageId === "" ? [] : [imageId])),
    path: record.path,
    args: record.args,
    created: timestamp(record.created),
    labels: config.labels,
    state: { ...encodeState(rest), ...(health && { health: { status: health.status } }) },
    ports: record.ports,
    mounts: record.mounts,
    networkMode: hostConfig.networkMode,
    networkDisabled: config.networkDisabled,
    endpoints: record.endpoints,
    endpointSpecs: spec.endpoints,
    annotations: hostConfig.annotations,
    linkNames,
    ...(sizes && { sizeRw: sizes.rw, sizeRootFs: sizes.rootFs }),
    nodeId,
  };
}

function encodeState(state: ContainerState): DeepPartial<StateMessage> {
  return {
    status: statusNumbers[state.status],
    pid: state.pid,
    exitCode: state.exitCode,
    error: state.error,
    oomKilled: state.oomKilled,
    startedAt: timestamp(state.startedAt),
    finishedAt: timestamp(state.finishedAt),
    ...(state.health && { health: encodeHealth(state.health) }),
  };
}

function encodeHealth({ status, failingStreak, log }: HealthRecord): DeepPartial<Health> {
  const results = log.map(({ start, end, ...rest }) => ({ start: timestamp(start), end: timestamp(end), ...rest }));
  return { status, failingStreak, log: results };
}

export function timestamp(text: string): { seconds: number; nanos: number } | undefined {
  if (text === "") return undefined;
  const nano = toNano(text);
  return { seconds: Number(nano / 1_000_000_000n), nanos: Number(nano % 1_000_000_000n) };
}

export const nanoOf = (message: { seconds: number; nanos: number } | undefined): bigint | undefined =>
  message === undefined ? undefined : BigInt(message.seconds) * 1_000_000_000n + BigInt(message.nanos);
