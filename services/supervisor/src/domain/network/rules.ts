import type { Protocol } from "../validate/ports.ts";

/** A published port as the rules know it. */
export interface PortRule {
  protocol: Protocol;
  /** Empty: all addresses of the host. */
  hostIp: string;
  hostPort: number;
  address: string;
  port: number;
}

export interface RulesInput {
  bridge: string;
  subnet: string;
}

const table = "inet berth";

/**
 * The table, whole; running it again replaces the rules and keeps the maps' elements. Ports are elements of two maps a protocol, so
 * that publishing is one element and not a rule a port. Only traffic of our bridge is ever touched.
 */
export function tableText({ bridge, subnet }: RulesInput): string {
  const dnat = (protocol: Protocol) => [
    `dnat ip to ip daddr . ${protocol} dport map @${protocol}_addr_ports`,
    `fib daddr type local dnat ip to ${protocol} dport map @${protocol}_ports`,
  ];
  const chain = (name: string, lines: readonly string[]) => lines.map((line) => `add rule ${table} ${name} ${line}`);
  return [
    `add table ${table}`,
    `add map ${table} tcp_ports { type inet_service : ipv4_addr . inet_service ; }`,
    `add map ${table} udp_ports { type inet_service : ipv4_addr . inet_service ; }`,
    `add map ${table} sctp_ports { type inet_service : ipv4_addr . inet_service ; }`,
    `add map ${table} sctp_addr_ports { type ipv4_addr . inet_service : ipv4_addr . inet_service ; }`,
    `add map ${table} tcp_addr_ports { type ipv4_addr . inet_service : ipv4_addr . inet_service ; }`,
    `add map ${table} udp_addr_ports { type ipv4_addr . inet_service : ipv4_addr . inet_service ; }`,
    `add chain ${table} prerouting { type nat hook prerouting priority dstnat ; policy accept ; }`,
    `add chain ${table} output { type nat hook output priority -100 ; policy accept ; }`,
    `add chain ${table} postrouting { type nat hook postrouting priority srcnat ; policy accept ; }`,
    `add chain ${table} forward { type filter hook forward priority filter ; policy accept ; }`,
    ...["prerouting", "output", "postrouting", "forward"].map((name) => `flush chain ${table} ${name}`),
    ...chain("prerouting", [
      // A neighbour on the wire must not reach what is published on 127.0.0.1 alone.
      'iifname != "lo" ip daddr 127.0.0.0/8 return',
      ...dnat("tcp"),
      ...dnat("udp"),
      ...dnat("sctp"),
    ]),
    ...chain("output", [...dnat("tcp"), ...dnat("udp"), ...dnat("sctp")]),
    ...chain("postrouting", [
      `ip saddr ${subnet} oifname != "${bridge}" masquerade`,
      // A container that goes through the host to a published port (its own, even) gets its answers back the same way.
      `ip saddr ${subnet} oifname "${bridge}" ct status dnat masquerade`,
      `ip saddr 127.0.0.0/8 oifname "${bridge}" masquerade`,
    ]),
    ...chain("forward", [
      `oifname "${bridge}" ct state established,related accept`,
      `iifname "${bridge}" accept`,
      `oifname "${bridge}" ct status dnat accept`,
      // What was not published is not reachable through the host from outside.
      `oifname "${bridge}" drop`,
    ]),
  ].join("\n");
}

const element = ({ protocol, hostIp, hostPort }: PortRule): [map: string, key: string] =>
  hostIp === "" ? [`${protocol}_ports`, `${hostPort}`] : [`${protocol}_addr_ports`, `${hostIp} . ${hostPort}`];

export function addPortsText(rules: readonly PortRule[]): string {
  return rules
    .map((rule) => {
      const [map, key] = element(rule);
      return `add element ${table} ${map} { ${key} : ${rule.address} . ${rule.port} }`;
    })
    .join("\n");
}

export function deletePortsText(rules: readonly PortRule[]): string {
  return rules
    .map((rule) => {
      const [map, key] = element(rule);
      return `delete element ${table} ${map} { ${key} }`;
    })
    .join("\n");
}

/** After a restart: exactly these elements, whatever was there. */
export function replacePortsText(rules: readonly PortRule[]): string {
  const flush = ["tcp", "udp", "sctp"]
    .flatMap((name) => [`${name}_ports`, `${name}_addr_ports`])
    .map((map) => `flush map ${table} ${map}`);
  return [...flush, ...(rules.length > 0 ? [addPortsText(rules)] : [])].join("\n");
}

/** add before delete: deleting a table that is missing would be an error. */
export const deleteTableText = `add table ${table}\ndelete table ${table}`;
