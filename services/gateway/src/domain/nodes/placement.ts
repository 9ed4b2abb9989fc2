import type { Load } from "@berth/bus";
import { BerthError } from "@berth/errors";

/** What is known of a node when a container looks for a place. */
export interface Candidate {
  nodeId: string;
  name: string;
  labels: Readonly<Record<string, string>>;
  availability: "active" | "drain";
  /** cores; 0: not known */
  cpus: number;
  /** bytes; 0: not known */
  memory: number;
  load: Load;
  /** Names of OCI runtimes. */
  runtimes: readonly string[];
  sameHost: boolean;
}

/** What a container asks of its place. */
export interface Wish {
  /** cores and bytes that it will reserve; 0: nothing */
  cpus: number;
  memory: number;
  constraints: readonly Constraint[];
  /** The OCI runtime's name; "": the node's default. One that no node has, the node that is chosen refuses in Docker's words. */
  runtime: string;
  /** Nodes of what it must share a node with: another container, a volume. Undefined: nothing. */
  together?: ReadonlySet<string> | undefined;
  /** Nodes of the containers it must stay away from. */
  apart?: ReadonlySet<string> | undefined;
}

export interface Constraint {
  /** "node.id", "node.name" or "node.labels.KEY" */
  key: string;
  isEqual: boolean;
  value: string;
}

/** Labels of a container that say where it shall run. */
export const placementLabels = {
  node: "berth.node",
  constraint: "berth.constraint",
  affinity: "berth.affinity",
} as const;

const maxTerms = 64;
const term = /^([a-zA-Z][\w.-]*)\s*(==|!=)\s*(.+)$/;

/**
 * The constraints in a container's labels: `berth.node=NAME` and `berth.constraint=node.labels.disk==ssd,node.name!=a`.
 * @throws INVALID_ARGUMENT
 */
export function readConstraints(labels: Readonly<Record<string, string>>): Constraint[] {
  const name = labels[placementLabels.node];
  const byName = name === undefined ? [] : [{ key: "node.name", isEqual: true, value: name.trim() }];
  const rest = termsOf(labels, placementLabels.constraint).map(({ key, isEqual, value }) => {
    const known = key === "node.hostname" ? "node.name" : key;
    if (known !== "node.id" && known !== "node.name" && !known.startsWith("node.labels."))
      throw invalid(`${placementLabels.constraint}: ${key} is none of node.id, node.name and node.labels.KEY`);
    return { key: known, isEqual, value };
  });
  return [...byName, ...rest];
}

/** The containers in `berth.affinity=container==db,container!=web`: to be with, and to stay away from. @throws INVALID_ARGUMENT */
export function readAffinities(labels: Readonly<Record<string, string>>): { container: string; isWith: boolean }[] {
  return termsOf(labels, placementLabels.affinity).map(({ key, isEqual, value }) => {
    if (key !== "container") throw invalid(`${placementLabels.affinity}: ${key} is not "container"`);
    return { container: value, isWith: isEqual };
  });
}

function termsOf(labels: Readonly<Record<string, string>>, label: string): Constraint[] {
  const text = labels[label];
  if (text === undefined || text.trim() === "") return [];
  const parts = text.split(",");
  if (parts.length > maxTerms) throw invalid(`${label}: over ${maxTerms} terms`);
  return parts.map((part) => {
    const [, key, operator, value] = term.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined)
      throw invalid(`${label}: ${JSON.stringify(part.slice(0, 256))} is not of the form KEY==VALUE or KEY!=VALUE`);
    return { key, isEqual: operator === "==", value: value.trim() };
  });
}

/** What asks for nothing: on one node of many any will do. */
export const noWish: Wish = { cpus: 0, memory: 0, constraints: [], runtime: "" };

/** The nodes that suit, one at least. @throws CONFLICT when none does, with what kept each from it */
export function suitable<C extends Candidate>(candidates: readonly C[], wish: Wish): C[] {
  const refusals = new Map<string, number>();
  const { runtime } = wish;
  const isKnown = runtime !== "" && candidates.some(({ runtimes }) => runtimes.includes(runtime));
  const found = candidates.filter((candidate) => {
    const lacksRuntime = isKnown && !candidate.runtimes.includes(runtime);
    const why = refusal(candidate, wish) ?? (lacksRuntime ? `runtime ${runtime} is missing` : undefined);
    if (why !== undefined) refusals.set(why, (refusals.get(why) ?? 0) + 1);
    return why === undefined;
  });
  if (found.length === 0) throw noneSuits(refusals);
  return found;
}

/**
 * The node with the most free capacity of those that suit: by the share of CPU or memory, whichever is scarcer, that would
 * be reserved; then by the number of containers; then this host; then by name, so that every gateway chooses alike.
 * @throws CONFLICT when none suits
 */
export function place<C extends Candidate>(candidates: readonly C[], wish: Wish): C {
  return suitable(candidates, wish).reduce((best, one) => (compare(one, best, wish) < 0 ? one : best));
}

function refusal(candidate: Candidate, { constraints, together, apart }: Wish): string | undefined {
  if (candidate.availability === "drain") return "node is drained";
  if (constraints.some((constraint) => !satisfies(candidate, constraint))) return "constraints not satisfied";
  if (together !== undefined && !together.has(candidate.nodeId)) return "what it belongs to is on another node";
  if (apart?.has(candidate.nodeId)) return "a container it stays away from is there";
  return undefined;
}

function satisfies(candidate: Candidate, { key, isEqual, value }: Constraint): boolean {
  const labelled = key.startsWith("node.labels.") ? candidate.labels[key.slice("node.labels.".length)] : undefined;
  const own = key === "node.id" ? candidate.nodeId : key === "node.name" ? candidate.name : labelled;
  return (own !== undefined && own.toLowerCase() === value.toLowerCase()) === isEqual;
}

function compare(a: Candidate, b: Candidate, wish: Wish): number {
  const shares = share(a, wish) - share(b, wish);
  // Shares of sums of decimal fractions: what differs by less is the same.
  if (Math.abs(shares) > 1e-9) return shares;
  return a.load.containers - b.load.containers || Number(b.sameHost) - Number(a.sameHost) || (a.name < b.name ? -1 : 1);
}

/** Of what would be reserved with the new one: 1 is all there is. */
function share({ cpus, memory, load }: Candidate, wish: Wish): number {
  const cpuShare = cpus > 0 ? (load.cpus + wish.cpus) / cpus : 0;
  const memoryShare = memory > 0 ? (load.memory + wish.memory) / memory : 0;
  return Math.max(cpuShare, memoryShare);
}

function noneSuits(refusals: ReadonlyMap<string, number>): BerthError {
  const reasons = [...refusals].map(([why, count]) => `${why} on ${count} node${count === 1 ? "" : "s"}`);
  return new BerthError("CONFLICT", `no suitable node (${reasons.join("; ") || "there is none"})`);
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
