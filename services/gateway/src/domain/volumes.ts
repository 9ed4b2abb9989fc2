import { BerthError, isBerthError } from "@berth/errors";
import type { Volume, VolumesClient } from "../rpc/types.ts";
import { type Nodes, options } from "./nodes/nodes.ts";

export interface VolumesOptions {
  nodes: Nodes;
  connect: (nodeId: string) => VolumesClient;
}

export type VolumeFilters = Record<string, { values: string[] }>;

/** Volumes of all nodes. A name is unique on its node: with several the nearest node that has it answers. */
export class Volumes {
  readonly #nodes: Nodes;
  readonly #connect: VolumesOptions["connect"];
  readonly #clients = new Map<string, VolumesClient>();

  constructor({ nodes, connect }: VolumesOptions) {
    this.#nodes = nodes;
    this.#connect = connect;
  }

  /** On the node where new containers go. @throws INVALID_ARGUMENT, CONFLICT, NO_SUCH_VOLUME (driver) */
  async create(request: Parameters<VolumesClient["create"]>[0]): Promise<Volume> {
    // Making a volume that there is gives that one, wherever it is.
    const [known] = request.name && this.#nodes.isCluster ? await this.nodesOf(request.name) : [];
    const nodeId = known ?? (await this.#nodes.forNew()).nodeId;
    const { volume } = await this.#client(nodeId).create(request, { timeoutMs: slow });
    return given(volume);
  }

  /** @throws NO_SUCH_VOLUME */
  async inspect(name: string, signal: AbortSignal): Promise<Volume> {
    const nodeId = await this.nodeOf(name, signal);
    const { volume } = await this.#client(nodeId).inspect({ name }, options(signal));
    return given(volume);
  }

  /** A node that does not answer is a warning, unless none does. */
  async list(filters: VolumeFilters, signal: AbortSignal): Promise<{ volumes: Volume[]; warnings: string[] }> {
    const clients = await this.#all(signal);
    const answers = await Promise.allSettled(clients.map((client) => client.list({ filters }, options(signal))));
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const failed = answers.find((answer) => answer.status === "rejected");
    if (failed !== undefined && (found.length === 0 || isInvalid(failed.reason))) throw failed.reason;
    const warnings = answers.flatMap((answer) => (answer.status === "rejected" ? [String(answer.reason)] : []));
    return {
      volumes: found.flatMap(({ volumes }) => volumes),
      warnings: [...found.flatMap((one) => one.warnings), ...warnings],
    };
  }

  /** With sizes and uses; volumes of drivers elsewhere are not among them. */
  async usage(signal: AbortSignal): Promise<Volume[]> {
    const clients = await this.#all(signal);
    const answers = await Promise.all(
      clients.map((client) => client.list({ usage: true }, { timeoutMs: slow, ...options(signal) })),
    );
    return answers.flatMap(({ volumes }) => volumes);
  }

  /** @throws NO_SUCH_VOLUME, IN_USE */
  async remove(name: string, force: boolean): Promise<void> {
    const nodeId = await this.nodeOf(name).catch(missing(force));
    if (nodeId !== undefined) await this.#client(nodeId).remove({ name, force }, { timeoutMs: slow });
  }

  async prune(filters: VolumeFilters, signal: AbortSignal): Promise<{ names: string[]; reclaimed: number }> {
    const clients = await this.#all(signal);
    const answers = await Promise.all(
      clients.map((client) => client.prune({ filters }, { timeoutMs: slow, ...options(signal) })),
    );
    return {
      names: answers.flatMap(({ names }) => names),
      reclaimed: answers.reduce((sum, { reclaimed }) => sum + reclaimed, 0),
    };
  }

  async #all(signal?: AbortSignal): Promise<VolumesClient[]> {
    return (await this.#nodes.some(signal)).map(({ nodeId }) => this.#client(nodeId));
  }

  /** Nodes that have it; those that don't answer left out. */
  async nodesOf(name: string): Promise<string[]> {
    const nodeIds = (await this.#nodes.some()).map(({ nodeId }) => nodeId);
    const answers = await Promise.allSettled(nodeIds.map((nodeId) => this.#client(nodeId).inspect({ name })));
    return nodeIds.filter((_, index) => answers[index]?.status === "fulfilled");
  }

  /** The node that has it; with one node that one, unasked. @throws NO_SUCH_VOLUME */
  async nodeOf(name: string, signal?: AbortSignal): Promise<string> {
    const nodeIds = (await this.#nodes.some(signal)).map(({ nodeId }) => nodeId);
    if (nodeIds.length === 1) return nodeIds[0] as string;
    const asked = nodeIds.map((nodeId) => this.#client(nodeId).inspect({ name }, options(signal)));
    const answers = await Promise.allSettled(asked);
    const index = answers.findIndex(({ status }) => status === "fulfilled");
    if (index >= 0) return nodeIds[index] as string;
    // A node that could not be asked might have it: say so rather than "no such volume".
    const failed = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as unknown] : []));
    throw failed.find((error) => !isMissing(error)) ?? failed[0];
  }

  #client(nodeId: string): VolumesClient {
    const client = this.#clients.get(nodeId) ?? this.#connect(nodeId);
    this.#clients.set(nodeId, client);
    return client;
  }
}

/** ms; drivers may have to talk to a storage far away, and large volumes take time to remove. */
const slow = 150_000;

const isMissing = (error: unknown): boolean => isBerthError(error) && error.reason === "NO_SUCH_VOLUME";
const isInvalid = (error: unknown): boolean => isBerthError(error) && error.reason === "INVALID_ARGUMENT";

const missing = (force: boolean) => (error: unknown) => {
  if (force && isMissing(error)) return undefined;
  throw error;
};

function given(volume: Volume | undefined): Volume {
  if (volume === undefined) throw new BerthError("INTERNAL", "the supervisor's answer has no volume");
  return volume;
}
