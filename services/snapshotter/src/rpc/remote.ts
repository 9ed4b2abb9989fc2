import type { SnapshotterDefinition } from "@berth/api/snapshots";
import { BerthError } from "@berth/errors";
import type { Client } from "@berth/rpc";
import type {
  Layer,
  MountPlan,
  PrepareOptions,
  SnapshotInfo,
  Snapshotter,
  UnpackProgress,
  Usage,
} from "../domain/snapshotter.ts";
import { decodePlan, decodeProgress, decodeSnapshot, encodeLayer } from "./convert.ts";

/** Unpacking may be part of it; nobody should wait longer than for the largest image. ms */
const prepareTimeoutMs = 3_600_000;

/** The snapshotter of another process: the same interface, over gRPC. */
export class RemoteSnapshotter implements Snapshotter {
  readonly #client: Client<typeof SnapshotterDefinition>;

  constructor(client: Client<typeof SnapshotterDefinition>) {
    this.#client = client;
  }

  async prepare(key: string, parent: string, options: PrepareOptions = {}): Promise<MountPlan> {
    return decodePlan(await this.#client.prepare(request(key, parent, options), callOptions(options)));
  }

  async view(key: string, parent: string, options: PrepareOptions = {}): Promise<MountPlan> {
    return decodePlan(await this.#client.view(request(key, parent, options), callOptions(options)));
  }

  async mounts(key: string): Promise<MountPlan> {
    return decodePlan(await this.#client.mounts({ key }));
  }

  async commit(key: string, name: string): Promise<void> {
    await this.#client.commit({ key, name }, { timeoutMs: prepareTimeoutMs });
  }

  async remove(key: string): Promise<void> {
    await this.#client.remove({ key });
  }

  async stat(key: string): Promise<SnapshotInfo> {
    const { snapshot } = await this.#client.stat({ key });
    if (snapshot === undefined) throw new BerthError("INTERNAL", `the snapshotter said nothing of ${key}`);
    return decodeSnapshot(snapshot);
  }

  async *list(): AsyncGenerator<SnapshotInfo> {
    for await (const snapshot of this.#client.list({})) yield decodeSnapshot(snapshot);
  }

  async usage(key: string): Promise<Usage> {
    const { bytes, inodes, fileBytes } = await this.#client.usage({ key });
    return { bytes, inodes, fileBytes };
  }

  async *diff(key: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    for await (const { data } of this.#client.diff({ key }, signal ? { signal } : {})) yield data;
  }

  async *unpack(layers: readonly Layer[], signal?: AbortSignal): AsyncGenerator<UnpackProgress> {
    const responses = this.#client.unpack({ layers: layers.map(encodeLayer) }, signal ? { signal } : {});
    for await (const response of responses) yield decodeProgress(response);
  }
}

const request = (key: string, parent: string, { layers = [], labels = {}, storageOptions = {} }: PrepareOptions) => ({
  key,
  parent,
  layers: layers.map(encodeLayer),
  labels: { ...labels },
  storageOptions: { ...storageOptions },
});

const callOptions = ({ layers = [], signal }: PrepareOptions) => ({
  ...(signal && { signal }),
  ...(layers.length > 0 && { timeoutMs: prepareTimeoutMs }),
});
