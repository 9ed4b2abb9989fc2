import { ListRequest, ListResponse, PruneRequest, PruneResponse } from "@berth/api/volumes";
import { isBerthError } from "@berth/errors";
import { decodeMessage, encodeMessage, readText } from "@berth/rpc";
import type { Nodes } from "../domain/nodes/nodes.ts";
import type { Volumes } from "../domain/volumes.ts";
import type { Gathered, Hop, Passed, Routes } from "./proxy.ts";
import type { VolumesDefinition } from "./types.ts";

/** Field numbers of volumes.v1. */
const name = 1;

/** Volumes of all nodes, as one node's: berth.volumes.v1.Volumes. */
export function volumeRoutes(volumes: Volumes, nodes: Nodes): Routes<typeof VolumesDefinition> {
  const byName: Passed = {
    async to(request, signal): Promise<Hop> {
      try {
        return await volumes.nodeOf(readText(request, [name]) ?? "", signal);
      } catch (error) {
        if (!isBerthError(error) || error.reason !== "NO_SUCH_VOLUME") throw error;
        // No node has it: any can say so, or that it is no error.
        return (await nodes.some(signal))[0]?.nodeId;
      }
    },
  };
  /** One node's answer is everybody's where there is one node. */
  const ofAll = (join: (request: Buffer, signal: AbortSignal) => Promise<Buffer>): Gathered => ({
    async gather(request, ask, signal) {
      const [first, second] = await nodes.some(signal);
      return first !== undefined && second === undefined ? ask(first.nodeId) : join(request, signal);
    },
  });
  return {
    create: { to: async () => (await nodes.forNew()).nodeId },
    inspect: byName,
    list: ofAll(async (request, signal) => {
      const { filters, usage } = decodeMessage(ListRequest, request);
      const found = usage
        ? { volumes: await volumes.usage(signal), warnings: [] }
        : await volumes.list(filters, signal);
      return encodeMessage(ListResponse, found);
    }),
    remove: byName,
    prune: ofAll(async (request, signal) => {
      const { filters } = decodeMessage(PruneRequest, request);
      return encodeMessage(PruneResponse, await volumes.prune(filters, signal));
    }),
  };
}
