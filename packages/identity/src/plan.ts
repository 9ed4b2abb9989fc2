// Which hosts run the cluster's NATS servers. The authority decides it; every host keeps the newest word it has heard.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface NatsPlace {
  nodeId: string;
  nodeName: string;
  /** Where clients connect. */
  url: string;
  /** "HOST:PORT" where the other servers connect. */
  route: string;
  /** The plan's version by which it became a server. A server that comes anew is another one for the others. */
  since: number;
}

export interface NatsPlan {
  /** Grows with each change. */
  version: number;
  servers: NatsPlace[];
  /**
   * A server that was alone gets others: its streams can't be taken into a cluster as they are, but have to be carried there.
   * "forming": the others make a cluster, it serves on; "moving": it carries its streams there and becomes one of them.
   */
  growth?: { from: string; stage: "forming" | "moving" };
}

const maxServers = 5;

export const planFile = (identityDirectory: string): string => join(identityDirectory, "nats-plan.json");

/** The peers' word for a server: its name in NATS. */
export const serverNameOf = ({ nodeId, since }: NatsPlace): string => `${nodeId}-${since}`;
export const nodeOfServer = (serverName: string): string => serverName.replace(/-\d+$/, "");

/** Undefined where there is none, or what is there can't be read: it is heard again within a second. */
export function readPlan(path: string): NatsPlan | undefined {
  try {
    return existsSync(path) ? parsePlan(JSON.parse(readFileSync(path, "utf8"))) : undefined;
  } catch {
    return undefined;
  }
}

/** A plan as a peer tells it; undefined for what is none. */
export function parsePlan(value: unknown): NatsPlan | undefined {
  const { version, servers, growth } = (value ?? {}) as Partial<NatsPlan>;
  if (!Number.isSafeInteger(version) || !Array.isArray(servers)) return undefined;
  if (servers.length === 0 || servers.length > maxServers || !servers.every(isPlace)) return undefined;
  if (growth !== undefined && (typeof growth.from !== "string" || !/^(forming|moving)$/.test(growth.stage)))
    return undefined;
  return value as NatsPlan;
}

const isPlace = (value: unknown): boolean => {
  const { nodeId, nodeName, url, route, since } = (value ?? {}) as Partial<NatsPlace>;
  const isHostPort = (text: unknown) => typeof text === "string" && /^[\w.:[\]-]{1,255}:\d{1,5}$/.test(text);
  return (
    [nodeId, nodeName].every((word) => typeof word === "string" && /^[\w.-]{1,64}$/.test(word)) &&
    typeof url === "string" &&
    url.startsWith("tls://") &&
    isHostPort(url.slice("tls://".length)) &&
    isHostPort(route) &&
    Number.isSafeInteger(since)
  );
};

/** How a node's server runs by a plan. */
export function modeOf(plan: NatsPlan | undefined, nodeId: string): "none" | "alone" | "member" {
  if (plan === undefined || !plan.servers.some((server) => server.nodeId === nodeId)) return "none";
  const waits = plan.growth?.stage === "forming" && plan.growth.from === nodeId;
  return plan.servers.length === 1 || waits ? "alone" : "member";
}

/** The servers that a member has routes to: not the one whose streams have yet to be moved. */
export function peersOf({ servers, growth }: NatsPlan, nodeId: string): NatsPlace[] {
  return servers.filter(
    (server) => server.nodeId !== nodeId && !(growth?.stage === "forming" && server.nodeId === growth.from),
  );
}
