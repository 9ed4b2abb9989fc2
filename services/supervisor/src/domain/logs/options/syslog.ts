import { splitAddress, splitHost } from "./address.ts";
import { LogOptionError } from "./values.ts";

export type SyslogFormat = "" | "rfc3164" | "rfc5424" | "rfc5424micro";

/** Where to: "" is the host's own socket. */
export interface SyslogTarget {
  transport: "" | "udp" | "tcp" | "tcp+tls" | "unix" | "unixgram";
  host: string;
  port: number;
  path: string;
}

const facilities = [
  ...["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"],
  // 12 to 15 have no names in Docker.
  ...["", "", "", ""],
  ...["local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
];
const daemonFacility = 3;
const defaultPort = 514;

/** The facility's number, 0 to 23. @throws LogOptionError */
export function parseFacility(text: string): number {
  if (text === "") return daemonFacility;
  const named = facilities.indexOf(text);
  if (named >= 0) return named;
  if (/^[+-]?\d{1,9}$/.test(text) && Number(text) >= 0 && Number(text) <= 23) return Number(text);
  throw new LogOptionError("invalid syslog facility");
}

/** @throws LogOptionError */
export function parseFormat(text: string): SyslogFormat {
  if (!["", "rfc3164", "rfc5424", "rfc5424micro"].includes(text)) throw new LogOptionError("Invalid syslog format");
  return text as SyslogFormat;
}

/** `exists` throws what stat(2) says (a socket that is not there is refused). @throws LogOptionError */
export function parseSyslogAddress(text: string, exists: (path: string) => unknown): SyslogTarget {
  const none = { host: "", port: 0, path: "" };
  if (text === "") return { transport: "", ...none };
  const { scheme, host, path } = splitAddress(text);
  if (scheme === "unix" || scheme === "unixgram") {
    try {
      exists(path);
    } catch {
      throw new LogOptionError(`stat ${path}: no such file or directory`);
    }
    return { transport: scheme, ...none, path };
  }
  if (scheme !== "udp" && scheme !== "tcp" && scheme !== "tcp+tls")
    throw new LogOptionError(`unsupported scheme: '${scheme}'`);
  const { name, port } = splitHost(host);
  return { transport: scheme, host: name, port: port ? Number(port) : defaultPort, path: "" };
}

/** @throws LogOptionError */
export function checkSyslog(options: Readonly<Record<string, string>>, exists: (path: string) => unknown): void {
  parseSyslogAddress(options["syslog-address"] ?? "", exists);
  parseFacility(options["syslog-facility"] ?? "");
  parseFormat(options["syslog-format"] ?? "");
}
