import { SnapshotterDefinition } from "@berth/api/snapshots";
import type { RpcServer } from "@berth/rpc";
import type { SnapshotterContext } from "../context.ts";
import { snapshotterService } from "./service.ts";

export function serve(server: RpcServer, { snapshotter }: SnapshotterContext): void {
  server.add(SnapshotterDefinition, snapshotterService(snapshotter));
}
