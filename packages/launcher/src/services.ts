import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** One service that the launcher runs, as its own process. */
export interface ServiceSpec {
  readonly name: string;
  /** Flags of the runtime: bounds that fit what the service does. */
  readonly nodeFlags: readonly string[];
}

/**
 * The checkout: this file is two levels below the package in source form and one below it as a bundle, and a bundle's
 * import.meta.url is rewritten to its source's.
 */
export const projectDir = resolve(fileURLToPath(import.meta.url), "../../../..");

/** Heaps are bounded so that a leak ends in a restart, not in the host's memory. Bulk bytes live outside the heap. */
const flags = (oldSpaceMb: number, semiSpaceMb: number) => [
  `--max-old-space-size=${oldSpaceMb}`,
  `--max-semi-space-size=${semiSpaceMb}`,
  // Services at rest give memory back (@berth/rpc).
  "--expose-gc",
];

/** In the order of starting; stopping goes the other way, so that a call under way finds what it needs below it. */
export const allServices: readonly ServiceSpec[] = [
  { name: "image-store", nodeFlags: flags(512, 8) },
  { name: "snapshotter", nodeFlags: flags(512, 8) },
  { name: "registry-proxy", nodeFlags: flags(512, 8) },
  { name: "supervisor", nodeFlags: flags(512, 16) },
  { name: "gateway", nodeFlags: flags(512, 16) },
];

/** Runs where the engine is open to other hosts, before all others. */
export const authorityService: ServiceSpec = { name: "authority", nodeFlags: flags(256, 4) };

/** What a host that has joined runs, unless told: a site has one image store, and it is there already. */
export const joinedServices = allServices.map(({ name }) => name).filter((name) => name !== "image-store");

export const mainOf = (service: string): string => join(projectDir, "services", service, "dist/main.js");
