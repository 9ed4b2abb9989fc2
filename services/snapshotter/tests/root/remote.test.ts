import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SnapshotterDefinition } from "@berth/api/snapshots";
import { readServiceConfig } from "@berth/config";
import { createLogger } from "@berth/log";
import { createClients, createRpcServer } from "@berth/rpc";
import { RemoteSnapshotter } from "../../src/rpc/remote.ts";
import { snapshotterService } from "../../src/rpc/service.ts";
import { type Subject, snapshotterContract } from "../contract.ts";
import { openSubject } from "../subject.ts";

async function openRemote(): Promise<Subject> {
  const directory = await mkdtemp(join(tmpdir(), "berth-remote-"));
  const local = await openSubject();
  const env = {
    BERTH_ROOT: directory,
    BERTH_RUN_DIR: directory,
    BERTH_METRICS_LISTEN: "none",
    BERTH_LOG_LEVEL: "silent",
  };
  const config = readServiceConfig("snapshotter", {}, { env, argv: [] });
  const log = createLogger({ service: "test", level: "silent" });
  const server = createRpcServer({ config, log });
  server.add(SnapshotterDefinition, snapshotterService(local.snapshotter));
  await server.listen();
  const clients = createClients(undefined, { hostId: config.hostId, log });
  return {
    snapshotter: new RemoteSnapshotter(clients.at(SnapshotterDefinition, config.listen[0] as string)),
    blobs: local.blobs,
    async close() {
      clients.close();
      await server.drain(1000);
      await local.close();
      await rm(directory, { recursive: true });
    },
  };
}

snapshotterContract("the one over gRPC", openRemote);
