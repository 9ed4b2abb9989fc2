import type { Bus } from "@berth/bus";
import type { NameRegistry } from "./containers/parts.ts";

/** The names that all nodes agree on, as node `nodeId` sees them. */
export function makeNameRegistry(bus: Pick<Bus, "names" | "events">, nodeId: string): NameRegistry {
  const { names } = bus;
  return {
    claim: (name, containerId, about) => names.claim(name, { containerId, nodeId, about }),
    release: (name, containerId) => names.release(name, containerId),
    own: () => names.entries(nodeId),
    hold: (name, containerId) => names.hold(name, containerId, nodeId),
    takeOver: (name, containerId, from, revision) => names.transfer(name, { containerId, from, to: nodeId, revision }),
    giveBack: (name, containerId) => names.giveBack(name, containerId, nodeId),
    async ownerOf(name, containerId) {
      const entry = await names.lookup(name);
      if (entry?.containerId === containerId) return entry;
      // It may have another name since.
      return (await names.entries()).find((other) => other.containerId === containerId);
    },
    async toldOfMove(containerId, since) {
      const until = BigInt(Date.now()) * 1_000_000n;
      for await (const { action, actorId, nodeId: at } of bus.events({ since, until, types: ["container"] })) {
        if (action === "move" && actorId === containerId && at !== nodeId) return true;
      }
      return false;
    },
  };
}
