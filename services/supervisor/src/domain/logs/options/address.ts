import { LogOptionError } from "./values.ts";

/** A log server's address, taken apart as Docker does it (Go's net/url). */
export interface Address {
  scheme: string;
  /** host[:port], IPv6 in brackets */
  host: string;
  path: string;
}

/** @throws LogOptionError in Go's words */
export function splitAddress(text: string): Address {
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)/.exec(text);
  if (match === null) {
    if (text.startsWith(":")) throw new LogOptionError(`parse ${JSON.stringify(text)}: missing protocol scheme`);
    return { scheme: "", host: "", path: text };
  }
  const [, scheme = "", authority = "", path = ""] = match;
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const port = /^(?:\[[^\]]*\]|[^:]*)(:.*)?$/.exec(host)?.[1] ?? "";
  if (!/^(:\d*)?$/.test(port))
    throw new LogOptionError(`parse ${JSON.stringify(text)}: invalid port ${JSON.stringify(port)} after host`);
  return { scheme: scheme.toLowerCase(), host, path: decodeURIComponent(path) };
}

/** "host:port" apart; port is undefined when there is none. */
export function splitHost(host: string): { name: string; port: string | undefined } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(host);
  return { name: match?.[1] ?? match?.[2] ?? host, port: match?.[3] };
}
