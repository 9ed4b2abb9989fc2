// What a host that has others keeps in ROOT/identity (0700), and where what listens there. No library is needed to read it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import { planFile } from "./plan.ts";

/** ROOT/identity/node.json: how this host stands to the others. */
export interface NodeSettings {
  /** "open": this host has the authority and NATS; "joined": it has joined one that is open. */
  kind: "open" | "joined";
  cluster: string;
  nodeId: string;
  nodeName: string;
  /** Where other hosts reach this one: an IP address, or a name. */
  advertise: string;
  basePort: number;
  /** "HOST:PORT" of what renews certificates. */
  authorities: string[];
  /** URLs of a NATS that is somebody else's, or the first known of our own (the plan has all of them). */
  nats: string[];
  /** The NATS account of the cluster, where NATS is the cluster's own. */
  natsAccount?: string;
  /** The services that this host runs. */
  services: string[];
}

export const defaultBasePort = 7600;

/** What listens where, counted from the base port. */
const offsets = {
  join: 0,
  nats: 1,
  "nats-routes": 2,
  authority: 3,
  "image-store": 4,
  "registry-proxy": 5,
  snapshotter: 6,
  supervisor: 7,
  gateway: 8,
  builder: 9,
} as const;
export type Listening = keyof typeof offsets;

export const portOf = (what: Listening, basePort: number): number => basePort + offsets[what];
export const listens = (service: string): service is Listening => Object.hasOwn(offsets, service);
/** Ports that a host uses from its base port on. */
export const portsUsed = 10;

/** "HOST:PORT", an IPv6 address in brackets. */
export const hostPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

export const identityDirectory = (root: string): string => join(root, "identity");
/** Key and certificate in one file, so that they change together. */
export const identityFile = (root: string, role: string): string => join(identityDirectory(root), `${role}.pem`);
export const caFile = (root: string): string => join(identityDirectory(root), "ca.pem");
/** A NATS user's JWT and seed, as the NATS tools write them. */
export const credsFile = (root: string, role: string): string => join(identityDirectory(root), `${role}.creds`);
/** What NATS servers show each other beside their certificates, as every service has one of those. */
export const natsRouteSecretFile = (root: string): string => join(identityDirectory(root), "nats-routes.secret");
/** Of a user who may do everything with streams: there while a server's streams are moved. */
export const natsMoveCredsFile = (root: string): string => join(identityDirectory(root), "nats-move.creds");
/** Of a user who may ask each server what streams it has: there at the same time. */
export const natsWatchCredsFile = (root: string): string => join(identityDirectory(root), "nats-watch.creds");
export const natsPlanFile = (root: string): string => planFile(identityDirectory(root));
/** The part of nats-server's configuration that says whom it trusts. */
export const natsTrustFile = (root: string): string => join(identityDirectory(root), "nats-trust.conf");
export const settingsFile = (root: string): string => join(identityDirectory(root), "node.json");

/** Undefined on a host that has no others. @throws DATA_LOSS when the file is not what we wrote */
export function readSettings(root: string): NodeSettings | undefined {
  const path = settingsFile(root);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as NodeSettings;
  } catch (error) {
    throw new BerthError("DATA_LOSS", `${path} is broken: ${(error as Error).message}`);
  }
}
