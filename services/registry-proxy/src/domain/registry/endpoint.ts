import { isIP } from "node:net";
import type { Reference } from "@berth/oci";

/** How a registry is reached. Docker Hub's images are named docker.io and lie elsewhere. */
export interface Endpoint {
  /** host[:port] to connect to */
  host: string;
  /** True: certificates are not checked, and plain HTTP is tried when HTTPS is not spoken. */
  insecure: boolean;
}

export const hubHost = "registry-1.docker.io";

/**
 * @param insecureRegistries hosts ("name", "name:port") and networks ("10.0.0.0/8") that the operator trusts; loopback is
 *   trusted always, as with Docker
 */
export function endpointOf(reference: Reference, insecureRegistries: readonly string[]): Endpoint {
  const host = reference.domain === "docker.io" ? hubHost : reference.domain;
  return { host, insecure: isInsecure(host, insecureRegistries) };
}

export function isInsecure(host: string, insecureRegistries: readonly string[]): boolean {
  const name = hostName(host);
  if (name === "localhost" || isLoopback(name)) return true;
  return insecureRegistries.some((entry) => entry === host || entry === name || isWithin(name, entry));
}

/** Without port and brackets. */
function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(host);
  return bracketed?.[1] ?? host.replace(/:\d+$/, "");
}

function isLoopback(name: string): boolean {
  return name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}

/** IPv4 networks only: nobody names a registry by a range of IPv6 addresses. */
function isWithin(name: string, network: string): boolean {
  const match = /^([0-9.]+)\/([0-9]+)$/.exec(network);
  if (match === null || isIP(name) !== 4 || isIP(match[1] ?? "") !== 4) return false;
  const bits = Number(match[2]);
  if (bits > 32) return false;
  const mask = bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
  return (toNumber(name) & mask) >>> 0 === (toNumber(match[1] ?? "") & mask) >>> 0;
}

function toNumber(address: string): number {
  return address.split(".").reduce((total, part) => total * 256 + Number(part), 0);
}
