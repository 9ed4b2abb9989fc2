import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import type { ContainerSpec } from "../model.ts";

/** Text of /etc/hosts (OCI has none of it; this is Docker's). `address`: the container's own on its network. */
export function hostsText(
  spec: ContainerSpec,
  address: string,
  gateway: string,
  links: readonly string[] = [],
): string {
  const { config, hostConfig: host } = spec;
  const lines = [
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::\tip6-localnet",
    "ff00::\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
  ];
  for (const entry of host.extraHosts) lines.push(extraHost(entry, gateway));
  lines.push(...links);
  if (address !== "") {
    lines.push(`${address}\t${namesOf(config)}`);
  }
  return `${lines.join("\n")}\n`;
}

/** The whole name, and its first label where it has more than that. */
function namesOf({ hostname, domainname }: ContainerSpec["config"]): string {
  const whole = domainname === "" ? hostname : `${hostname}.${domainname}`;
  const [label = ""] = hostname.split(".");
  return label === whole || label === "" ? whole : `${whole} ${label}`;
}

/** The text with another address on the lines of linked containers, whose first name is the link's alias. */
export function relinkedHosts(text: string, aliases: readonly string[], address: string): string {
  const lines = text.split("\n").map((line) => {
    const tab = line.indexOf("\t");
    const [alias = ""] = line.slice(tab + 1).split(" ");
    return tab > 0 && aliases.includes(alias) ? `${address}${line.slice(tab)}` : line;
  });
  return lines.join("\n");
}

/** The host's own file, for containers in its network, with --add-host behind it. */
export async function hostHostsText(spec: ContainerSpec): Promise<string> {
  const own = await readFile("/etc/hosts", "utf8").catch(() => "127.0.0.1\tlocalhost\n");
  const extra = spec.hostConfig.extraHosts.map((entry) => `${extraHost(entry, "127.0.0.1")}\n`);
  return (own.endsWith("\n") || own === "" ? own : `${own}\n`) + extra.join("");
}

function extraHost(entry: string, gateway: string): string {
  const colon = entry.indexOf(":");
  const address = entry.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
  return `${address === "host-gateway" ? gateway : address}\t${entry.slice(0, colon)}`;
}

/** Used when the host has none that a container could reach. */
const fallbackServers = ["8.8.8.8", "8.8.4.4"];

/** Text of /etc/resolv.conf: the host's with --dns* in place of what they name. `ownNetwork`: 127.x of the host is not reachable. */
export async function resolvConfText(
  spec: ContainerSpec,
  ownNetwork: boolean,
  path = "/etc/resolv.conf",
): Promise<string> {
  const { dns, dnsSearch, dnsOptions } = spec.hostConfig;
  const text = await readFile(path, "utf8").catch(() => "");
  const found = parseResolvConf(text);
  const reachable = ownNetwork
    ? found.servers.filter((server) => !server.startsWith("127.") && server !== "::1")
    : found.servers;
  const usable = ownNetwork && reachable.length === 0 ? fallbackServers : reachable;
  const servers = dns.length > 0 ? dns : usable;
  // "." alone means: no search list at all.
  const search = (dnsSearch.length > 0 ? dnsSearch : found.search).filter((domain) => domain !== ".");
  const options = dnsOptions.length > 0 ? dnsOptions : found.options;
  const lines = [
    "# Written by Berth. An edit stays until the container is started again.",
    "",
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

export function parseResolvConf(text: string): { servers: string[]; search: string[]; options: string[] } {
  const result = { servers: [] as string[], search: [] as string[], options: [] as string[] };
  for (const line of text.split("\n")) {
    const [word = "", ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (word === "nameserver" && values[0] !== undefined) result.servers.push(values[0]);
    // The last one counts (resolv.conf(5)).
    if (word === "search" || word === "domain") result.search = values;
    if (word === "options") result.options.push(...values);
  }
  return result;
}

/** True for an address of the host that containers can be told to publish on. */
export const isLoopback = (ip: string): boolean => isIPv4(ip) && ip.startsWith("127.");
