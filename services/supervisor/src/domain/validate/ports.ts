import { isIPv4, isIPv6 } from "node:net";
import { invalid } from "../errors.ts";
import type { ContainerConfig, HostConfig } from "../model.ts";

export type Protocol = "tcp" | "udp" | "sctp";

/** One published port of a container: a fixed host port, a range to pick from, or any (0–0). */
export interface PortRequest {
  containerPort: number;
  protocol: Protocol;
  /** Empty: all addresses; "0.0.0.0" and "::": all of their kind. */
  hostIp: string;
  hostPortFirst: number;
  hostPortLast: number;
}

export interface ContainerPort {
  port: number;
  protocol: Protocol;
}

const wrong = (text: string) => invalid(`invalid port specification: "${text}"`);
const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65535;
const protocols: readonly string[] = ["tcp", "udp", "sctp"];

/** "80/tcp", "80" (tcp), "80/TCP"; undefined for what Docker takes and can't publish ("0", "80/foo", "80-82"). */
export function parseContainerPort(text: string): ContainerPort | undefined {
  const [port = "", protocol = "tcp"] = text.split("/", 2);
  const name = protocol.toLowerCase();
  if (!isPort(port) || Number(port) === 0 || !protocols.includes(name)) return undefined;
  return { port: Number(port), protocol: name as Protocol };
}

/** The syntax of -p, all of it that Docker sees at create. Throws INVALID_ARGUMENT with its texts. */
export function checkPortBindings({ portBindings }: HostConfig): void {
  for (const { containerPort, hostPort } of portBindings) {
    const [number = ""] = containerPort.split("/");
    if (number !== "" && !isPort(number)) throw wrong(number);
    parseHostPort(hostPort);
  }
}

/**
 * What to publish: of the exposed ports those that have a binding, and with -P all. A binding of a port that is not exposed
 * is passed over, as Docker does. Throws INVALID_ARGUMENT.
 */
export function parsePortRequests(config: ContainerConfig, host: HostConfig): PortRequest[] {
  const exposed = parseExposed(config.exposedPorts);
  return exposed.flatMap(({ port, protocol }): PortRequest[] => {
    const bindings = host.portBindings.filter(({ containerPort }) => {
      const bound = parseContainerPort(containerPort);
      return bound?.port === port && bound.protocol === protocol;
    });
    const common = { containerPort: port, protocol };
    if (bindings.length === 0)
      return host.publishAllPorts ? [{ ...common, hostIp: "", hostPortFirst: 0, hostPortLast: 0 }] : [];
    return bindings.map(({ hostIp, hostPort }) => {
      const [hostPortFirst, hostPortLast] = parseHostPort(hostPort);
      return { ...common, hostIp: parseHostIp(hostIp), hostPortFirst, hostPortLast };
    });
  });
}

/** What is no address is none, to Docker: all of the host's. IPv6 in its shortest form. */
function parseHostIp(text: string): string {
  if (isIPv6(text) && !text.includes("%")) return new URL(`http://[${text}]`).hostname.slice(1, -1);
  return isIPv4(text) ? text : "";
}

/** Exposed ports that can be published, each once. */
function parseExposed(exposed: readonly string[]): ContainerPort[] {
  const found = new Map<string, ContainerPort>();
  for (const text of exposed) {
    const parsed = parseContainerPort(text);
    if (parsed !== undefined) found.set(`${parsed.port}/${parsed.protocol}`, parsed);
  }
  return [...found.values()];
}

function parseHostPort(text: string): [first: number, last: number] {
  if (text === "") return [0, 0];
  const [first = "", last = first, ...more] = text.split("-");
  if (more.length > 0 || !isPort(first) || !isPort(last) || Number(last) < Number(first)) throw wrong(text);
  return [Number(first), Number(last)];
}

/** An exposed port as the running container shows it: Docker's parser makes 0 of numbers and protocols that are none. */
export function shownPort(text: string): string {
  if (text === "") return "0/0";
  const [port = "", protocol = "tcp"] = text.split("/", 2);
  const name = protocol.toLowerCase();
  return `${isPort(port) ? Number(port) : 0}/${protocols.includes(name) ? name : "0"}`;
}
