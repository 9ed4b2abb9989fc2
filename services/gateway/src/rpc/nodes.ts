import { type DeepPartial, type Node as NodeMessage, NodeState, type NodesDefinition } from "@berth/api/nodes";
import { type Bus, type Instance, roles } from "@berth/bus";
import { BerthError } from "@berth/errors";
import type { Implementation } from "@berth/rpc";
import type { Node, Nodes } from "../domain/nodes/nodes.ts";
import type { NodeInfoResponse } from "./types.ts";

/** ms; a node that does not answer soon is shown without its capacity. */
const capacityPatienceMs = 2_000;
/** What a node needs to run containers. */
const needed = ["supervisor", "snapshotter"] as const;

/** berth.nodes.v1.Nodes: who is heard of, and what they say of themselves. */
export function nodeCalls(nodes: Nodes, bus: Pick<Bus, "instances">): Implementation<typeof NodesDefinition> {
  const view = async (node: Node, signal: AbortSignal): Promise<DeepPartial<NodeMessage>> => {
    const instances = roles.flatMap((role) => bus.instances(role)).filter(({ nodeId }) => nodeId === node.nodeId);
    const own = instances.find(({ role }) => role === "supervisor");
    const isWhole = needed.every((role) => instances.some((instance) => instance.role === role));
    const info = await node.supervisor
      .nodeInfo({}, { signal, timeoutMs: capacityPatienceMs })
      .catch((): undefined => undefined);
    return {
      id: node.nodeId,
      name: node.nodeName,
      site: own?.site ?? "",
      version: own?.version ?? "",
      state: isWhole && info !== undefined ? NodeState.READY : NodeState.DEGRADED,
      ...(info !== undefined && { capacity: capacityOf(info) }),
      services: instances.map(serviceOf),
    };
  };
  return {
    async list(_request, { signal }) {
      const there = [...(await nodes.some(signal))].sort((a, b) => compare(a.nodeName, b.nodeName));
      return { nodes: await Promise.all(there.map((node) => view(node, signal))) };
    },
    async inspect({ node: reference }, { signal }) {
      return { node: await view(find(await nodes.some(signal), reference), signal) };
    },
  };
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** @throws NOT_FOUND, INVALID_ARGUMENT */
function find(nodes: readonly Node[], reference: string): Node {
  const exact = nodes.find(({ nodeId, nodeName }) => nodeId === reference || nodeName === reference);
  const byPrefix = reference === "" ? [] : nodes.filter(({ nodeId }) => nodeId.startsWith(reference));
  const found = exact ?? byPrefix[0];
  if (found === undefined) throw new BerthError("NOT_FOUND", `No such node: ${reference}`);
  if (exact === undefined && byPrefix.length > 1)
    throw new BerthError("INVALID_ARGUMENT", `several nodes have an id that begins with ${reference}`);
  return found;
}

function capacityOf(info: NodeInfoResponse) {
  return {
    cpus: info.cpus,
    memory: info.memoryTotal,
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
