import { splitAddress, splitHost } from "./address.ts";
import { LogOptionError } from "./values.ts";

export interface GelfOptions {
  transport: "udp" | "tcp";
  host: string;
  port: number;
  compression: "gzip" | "zlib" | "none";
  /** -1 (the library's own) to 9 */
  level: number;
  maxReconnect: number;
  /** seconds */
  reconnectDelay: number;
}

const natural = (options: Readonly<Record<string, string>>, key: string, usual: number): number => {
  const text = options[key];
  if (text === undefined) return usual;
  if (!/^\+?\d{1,9}$/.test(text)) throw new LogOptionError(`"${key}" must be a positive integer`);
  return Number(text);
};

/** @throws LogOptionError */
export function parseGelf(options: Readonly<Record<string, string>>): GelfOptions {
  const text = options["gelf-address"] ?? "";
  if (text === "") throw new LogOptionError("gelf-address is a required parameter");
  const { scheme, host } = splitAddress(text);
  if (scheme !== "udp" && scheme !== "tcp") throw new LogOptionError("gelf: endpoint needs to be TCP or UDP");
  const { name, port } = splitHost(host);
  if (port === undefined || port === "")
    throw new LogOptionError("gelf: please provide gelf-address as proto://host:port");
  return {
    transport: scheme,
    host: name,
    port: Number(port),
    compression: (options["gelf-compression-type"] ?? "gzip") as GelfOptions["compression"],
    level: Number(options["gelf-compression-level"] ?? "1"),
    maxReconnect: natural(options, "gelf-tcp-max-reconnect", 3),
    reconnectDelay: natural(options, "gelf-tcp-reconnect-delay", 1),
  };
}

/** @throws LogOptionError */
export function checkGelf(options: Readonly<Record<string, string>>): void {
  const { transport } = parseGelf({ "gelf-address": options["gelf-address"] ?? "" });
  const refuse = (key: string) => {
    throw new LogOptionError(`unknown value ${JSON.stringify(options[key])} for log opt "${key}" for gelf log driver`);
  };
  const { "gelf-compression-level": level, "gelf-compression-type": type } = options;
  const isCompressed = level !== undefined || type !== undefined;
  if (isCompressed && transport !== "udp") throw new LogOptionError("compression is only supported on UDP");
  if (level !== undefined && !(/^[+-]?\d{1,3}$/.test(level) && Number(level) >= -1 && Number(level) <= 9))
    refuse("gelf-compression-level");
  if (type !== undefined && !["gzip", "zlib", "none"].includes(type)) refuse("gelf-compression-type");
  for (const key of ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"]) {
    if (options[key] === undefined) continue;
    if (transport !== "tcp") throw new LogOptionError(`"${key}" is only valid for TCP`);
    natural(options, key, 0);
  }
}
