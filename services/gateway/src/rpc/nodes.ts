import { type DeepPartial, type Node as NodeMessage, NodeState, type NodesDefinition } from "@berth/api/nodes";
import type { Instance } from "@berth/bus";
import type { Implementation } from "@berth/rpc";
import type { NodeAdministration, NodeView } from "../domain/nodes/administration.ts";
import type { Nodes } from "../domain/nodes/nodes.ts";
import type { NodeInfoResponse } from "./types.ts";

/** ms; a node that does not answer soon is shown without what it would say of itself. */
const infoPatienceMs = 2_000;
const states: Record<NodeView["state"], NodeState> = {
  ready: NodeState.READY,
  degraded: NodeState.DEGRADED,
  away: NodeState.AWAY,
};

/** berth.nodes.v1.Nodes: what is on record of them, who is heard of, and what they say of themselves. */
export function nodeCalls(nodes: Nodes, records: NodeAdministration): Implementation<typeof NodesDefinition> {
  const encode = async (
    { record, state, services }: NodeView,
    signal: AbortSignal,
  ): Promise<DeepPartial<NodeMessage>> => {
    const node = nodes.all().find(({ nodeId }) => nodeId === record.nodeId);
    const info = await node?.supervisor
      .nodeInfo({}, { signal, timeoutMs: infoPatienceMs })
      .catch((): undefined => undefined);
    return {
      id: record.nodeId,
      name: record.name,
      site: services.find(({ role }) => role === "supervisor")?.site ?? "",
      version: record.version,
      state: states[state],
      labels: record.labels,
      capacity: { cpus: record.cpus, memory: record.memory, ...(info !== undefined && saidOf(info)) },
      services: services.map(serviceOf),
      availability: record.availability,
      awaySince: record.awaySince ?? "",
      joinedAt: record.joinedAt,
    };
  };
  return {
    async list(_request, { signal }) {
      const views = await records.list();
      return { nodes: await Promise.all(views.map((view) => encode(view, signal))) };
    },
    async inspect({ node }, { signal }) {
      return { node: await encode(await records.inspect(node), signal) };
    },
  };
}

function saidOf(info: NodeInfoResponse) {
  return {
    containersRunning: info.containersRunning,
    containersPaused: info.containersPaused,
    containersStopped: info.containersStopped,
    operatingSystem: info.operatingSystem,
    kernelVersion: info.kernelVersion,
    architecture: info.architecture,
  };
}

function serviceOf({ role, version, startedAt }: Instance) {
  const millis = Date.parse(startedAt) || 0;
  return { role, version, started: { seconds: Math.floor(millis / 1000), nanos: (millis % 1000) * 1_000_000 } };
}
