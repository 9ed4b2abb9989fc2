import {
  type DeepPartial,
  type MountsResponse,
  type Snapshot,
  SnapshotKind,
  type UnpackResponse,
  UnpackStatus,
} from "@berth/api/snapshots";
import type { Layer as LayerMessage } from "@berth/api/types";
import { BerthError } from "@berth/errors";
import type { Kind, Layer, Mount, MountPlan, SnapshotInfo, UnpackProgress } from "../domain/snapshotter.ts";

const kinds = { active: SnapshotKind.ACTIVE, committed: SnapshotKind.COMMITTED, view: SnapshotKind.VIEW } as const;
const statuses = {
  waiting: UnpackStatus.WAITING,
  extracting: UnpackStatus.EXTRACTING,
  done: UnpackStatus.DONE,
  exists: UnpackStatus.EXISTS,
} as const;

export function decodeLayer({ blob, diffId, chainId }: LayerMessage): Layer {
  if (blob === undefined) throw new BerthError("INVALID_ARGUMENT", "a layer has no blob");
  return { blob: blob.digest, size: blob.size, diffId, chainId };
}

export const encodeLayer = ({ blob, size, diffId, chainId }: Layer): DeepPartial<LayerMessage> => ({
  blob: { digest: blob, size },
  diffId,
  chainId,
});

export const encodePlan = ({ mounts, layerDirs }: MountPlan): DeepPartial<MountsResponse> => ({
  mounts: mounts.map(({ options, ...mount }) => ({ ...mount, options: [...options] })),
  layerDirs: [...layerDirs],
});

export const decodePlan = ({ mounts, layerDirs }: MountsResponse): MountPlan => ({
  mounts: mounts.map(({ type, source, options, base }) => ({ type: type as Mount["type"], source, options, base })),
  layerDirs,
});

export const encodeSnapshot = ({ key, parent, kind, created, labels, size }: SnapshotInfo): DeepPartial<Snapshot> => ({
  key,
  parent,
  kind: kinds[kind],
  created: { seconds: Math.floor(created / 1000), nanos: (created % 1000) * 1_000_000 },
  labels: { ...labels },
  size,
});

export function decodeSnapshot({ key, parent, kind, created, labels, size }: Snapshot): SnapshotInfo {
  const name = (Object.keys(kinds) as Kind[]).find((candidate) => kinds[candidate] === kind);
  if (name === undefined || created === undefined)
    throw new BerthError("INTERNAL", `snapshot ${key} came without kind or time`);
  return { key, parent, kind: name, created: created.seconds * 1000 + created.nanos / 1_000_000, labels, size };
}

export const encodeProgress = ({ blob, status, current, total }: UnpackProgress): DeepPartial<UnpackResponse> => ({
  digest: blob,
  status: statuses[status],
  current,
  total,
});

export function decodeProgress({ digest, status, current, total }: UnpackResponse): UnpackProgress {
  const name = (Object.keys(statuses) as UnpackProgress["status"][]).find(
    (candidate) => statuses[candidate] === status,
  );
  if (name === undefined) throw new BerthError("INTERNAL", `progress of ${digest} came without a status`);
  return { blob: digest, status: name, current, total };
}
