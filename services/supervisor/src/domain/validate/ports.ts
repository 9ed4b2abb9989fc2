import { isIPv4, isIPv6 } from "node:net";
import { invalid, notBuilt } from "../errors.ts";
import type { ContainerConfig, HostConfig } from "../model.ts";

export type Protocol = "tcp" | "udp";

/** One published port of a container: a fixed host port, a range to pick from, or any (0–0). */
export interface PortRequest {
  containerPort: number;
  protocol: Protocol;
  /** Empty: all addresses. */
  hostIp: string;
  hostPortFirst: number;
  hostPortLast: number;
}

export interface ContainerPort {
  port: number;
  protocol: Protocol;
}

const wrong = (text: string) => invalid(`invalid port specification: "${text}"`);

/** "80/tcp", "80" (tcp). */
export function parseContainerPort(text: string): ContainerPort {
  const [port = "", protocol = "tcp"] = text.split("/", 2);
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535 || Number(port) === 0) throw wrong(port);
  if (protocol === "sctp") throw notBuilt("publishing of SCTP ports");
  if (protocol !== "tcp" && protocol !== "udp") throw invalid(`invalid protocol "${protocol}" in port "${text}"`);
  return { port: Number(port), protocol };
}

/** -p, and with -P every exposed port that has no binding. Throws INVALID_ARGUMENT with Docker's texts. */
export function parsePortRequests(config: ContainerConfig, host: HostConfig): PortRequest[] {
  const requests = host.portBindings.map((binding): PortRequest => {
    const { port, protocol } = parseContainerPort(binding.containerPort);
    const [first, last] = parseHostPort(binding.hostPort);
    if (isIPv6(binding.hostIp)) throw notBuilt("publishing on IPv6 addresses");
    if (binding.hostIp !== "" && !isIPv4(binding.hostIp)) throw invalid(`invalid host IP address: ${binding.hostIp}`);
    const hostIp = binding.hostIp === "0.0.0.0" ? "" : binding.hostIp;
    return { containerPort: port, protocol, hostIp, hostPortFirst: first, hostPortLast: last };
  });
  if (!host.publishAllPorts) return requests;
  const bound = new Set(requests.map((request) => `${request.containerPort}/${request.protocol}`));
  for (const { port, protocol } of parseExposed(config.exposedPorts)) {
    if (bound.has(`${port}/${protocol}`)) continue;
    requests.push({ containerPort: port, protocol, hostIp: "", hostPortFirst: 0, hostPortLast: 0 });
  }
  return requests;
}

/** Exposed ports, which may be ranges; what is no port is left out (Docker accepts anything there). */
export function parseExposed(exposed: readonly string[]): ContainerPort[] {
  return exposed.flatMap((text) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp))?$/.exec(text);
    if (!match) return [];
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (first === 0 || last > 65535 || last < first) return [];
    const protocol = (match[3] ?? "tcp") as Protocol;
    return Array.from({ length: last - first + 1 }, (_, index) => ({ port: first + index, protocol }));
  });
}

function parseHostPort(text: string): [first: number, last: number] {
  if (text === "") return [0, 0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || first > 65535 || last > 65535 || last < first) throw wrong(text);
  return [first, last];
}
