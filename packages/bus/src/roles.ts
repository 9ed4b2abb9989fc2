import { type NatsPlan, parsePlan } from "@berth/identity/plan";

/** What an instance tells of itself that changes while it runs. */
export type News = Pick<Instance, "load" | "nats">;

export const roles = [
  "gateway",
  "image-store",
  "registry-proxy",
  "snapshotter",
  "supervisor",
  "builder",
  "authority",
] as const;
export type Role = (typeof roles)[number];

/** What a node's containers, those that have ended left out, have reserved of it. */
export interface Load {
  containers: number;
  /** cores */
  cpus: number;
  /** bytes */
  memory: number;
}

/** One running copy of a service, as it tells the others. */
export interface Instance {
  role: Role;
  /** New at each start of the process. */
  instanceId: string;
  nodeId: string;
  nodeName: string;
  /** Instances with the same one see the same directories: unix addresses and paths work between them. */
  hostId: string;
  site: string;
  /** "unix:/run/berth/x.sock" (usable with the same hostId only) and "tcp:host:port". */
  addresses: string[];
  version: string;
  /** RFC 3339. */
  startedAt: string;
  /** Of a supervisor; up to a second old. */
  load?: Load;
  /** Of the authority: which hosts run NATS. */
  nats?: NatsPlan;
}

/** An instance from a peer's bytes, or undefined where they are none. */
export function parseInstance(value: unknown): Instance | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const candidate = value as Record<string, unknown>;
  const texts = ["role", "instanceId", "nodeId", "nodeName", "hostId", "site", "version", "startedAt"];
  if (!texts.every((key) => typeof candidate[key] === "string")) return undefined;
  if (!roles.includes(candidate.role as Role)) return undefined;
  if (candidate["load"] !== undefined && !isLoad(candidate["load"])) return undefined;
  if (candidate["nats"] !== undefined && parsePlan(candidate["nats"]) === undefined) return undefined;
  const { addresses } = candidate;
  if (!Array.isArray(addresses) || !addresses.every((address) => typeof address === "string")) return undefined;
  return value as Instance;
}

function isLoad(value: unknown): value is Load {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as Record<string, unknown>;
  return ["containers", "cpus", "memory"].every((key) => Number.isFinite(candidate[key]));
}
