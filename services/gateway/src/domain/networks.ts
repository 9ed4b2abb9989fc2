import type { Network } from "../rpc/types.ts";
import type { Nodes } from "./nodes/nodes.ts";

/** Networks of all nodes. Every node has the same three; their members are joined. */
export async function listNetworks(nodes: Nodes, signal: AbortSignal): Promise<Network[]> {
  const there = await nodes.some(signal);
  const answers = await Promise.all(there.map(({ supervisor }) => supervisor.listNetworks({}, { signal })));
  const byName = new Map<string, Network>();
  for (const network of answers.flatMap(({ networks }) => networks)) {
    const known = byName.get(network.name);
    if (known === undefined) byName.set(network.name, { ...network });
    else known.containers = [...known.containers, ...network.containers];
  }
  return [...byName.values()];
}
