import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createServer, isIPv6 } from "node:net";
import type { PortRequest, Protocol } from "../validate/ports.ts";
import { proxyTcp, proxyUdp, type Target } from "./proxy.ts";

/** Keeps a host port from everybody else. */
export interface Hold {
  /** "0.0.0.0" and "::" are all of their kind. */
  readonly hostIp: string;
  readonly hostPort: number;
  release(): void;
}

/** A port that can't be had: another container's (`bind` empty), or the host won't give it (`bind` says why). */
export class PortTaken extends Error {
  readonly bind: string;
  /** The address that it is about: of another container's port, that one's. Empty when it is about none. */
  readonly hostIp: string;
  constructor(message: string, hostIp = "", bind = "") {
    super(message);
    this.name = "PortTaken";
    this.hostIp = hostIp;
    this.bind = bind;
  }
}

const keyOf = (protocol: Protocol, ip: string, port: number) => `${protocol}/${ip}/${port}`;
const wildcardOf = (ip: string) => (isIPv6(ip) ? "::" : "0.0.0.0");

/**
 * Host ports of this engine. A port is held by a socket of our own as well, as no rule of ours would keep another program of
 * the host from listening there and wondering why nobody comes. On IPv6 addresses that socket carries the traffic.
 */
export class PortAllocator {
  readonly #taken = new Set<string>();
  #range: [first: number, last: number] | undefined;
  #next = 0;
  #hasV6: Promise<boolean> | undefined;

  /** A fixed port, one of a range, or any; the same on all addresses that are asked for. Throws PortTaken. */
  async allocate(request: PortRequest, target: Target): Promise<Hold[]> {
    const { hostPortFirst: first, hostPortLast: last } = request;
    const addresses = await this.#addresses(request.hostIp);
    if (first !== 0 && first === last) return this.#holdAll(request.protocol, addresses, first, target);
    const [from, to] = first === 0 ? await this.#ephemeral() : [first, last];
    const count = to - from + 1;
    const start = first === 0 ? Math.max(this.#next, from) : from;
    for (let offset = 0; offset < count; offset++) {
      const port = from + ((start - from + offset) % count);
      try {
        const holds = await this.#holdAll(request.protocol, addresses, port, target);
        if (first === 0) this.#next = port + 1 > to ? from : port + 1;
        return holds;
      } catch (error) {
        if (!(error instanceof PortTaken)) throw error;
      }
    }
    throw new PortTaken("all ports are allocated");
  }

  /** A port that a running container has had since before this process; without a socket if the host won't give one. */
  async adopt(request: PortRequest, target: Target): Promise<Hold[]> {
    const { protocol, hostIp, hostPortFirst: port } = request;
    return this.allocate(request, target).catch(() => [this.#mark(protocol, hostIp, port, () => {})]);
  }

  /** No address is all of them, IPv6 too where the host has it. */
  async #addresses(hostIp: string): Promise<string[]> {
    if (hostIp !== "") return [hostIp];
    this.#hasV6 ??= listensOnV6();
    return (await this.#hasV6) ? ["0.0.0.0", "::"] : ["0.0.0.0"];
  }

  /** All or none. */
  async #holdAll(protocol: Protocol, addresses: readonly string[], port: number, target: Target): Promise<Hold[]> {
    for (const ip of addresses) {
      const owner = this.#owner(protocol, ip, port);
      if (owner !== undefined) throw new PortTaken("port is already allocated", owner);
    }
    const closing: (() => void)[] = [];
    // Marked before the sockets are bound, so that no other call takes them meanwhile.
    const holds = addresses.map((ip, index) => this.#mark(protocol, ip, port, () => closing[index]?.()));
    try {
      for (const [index, ip] of addresses.entries()) closing[index] = await bind(protocol, ip, port, target);
      return holds;
    } catch (error) {
      for (const hold of holds) hold.release();
      throw error;
    }
  }

  #mark(protocol: Protocol, hostIp: string, port: number, close: () => void): Hold {
    const key = keyOf(protocol, hostIp, port);
    this.#taken.add(key);
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.#taken.delete(key);
      close();
    };
    return { hostIp, hostPort: port, release };
  }

  /** All addresses of a kind and one of them are the same port. */
  #owner(protocol: Protocol, ip: string, port: number): string | undefined {
    const all = wildcardOf(ip);
    for (const owner of [all, ip]) if (this.#taken.has(keyOf(protocol, owner, port))) return owner;
    if (ip !== all) return undefined;
    for (const key of this.#taken) {
      const [name, owner = "", number] = key.split("/");
      if (name === protocol && number === String(port) && wildcardOf(owner) === all) return owner;
    }
    return undefined;
  }

  async #ephemeral(): Promise<[first: number, last: number]> {
    this.#range ??= await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").then(
      (text) => text.trim().split(/\s+/).map(Number) as [number, number],
      () => [32768, 60999] as [number, number],
    );
    return this.#range;
  }
}

const bindFailures: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
  EINVAL: "invalid argument",
};

async function bind(protocol: Protocol, host: string, port: number, target: Target): Promise<() => void> {
  // No socket of that kind here; the mark alone keeps it from other containers.
  if (protocol === "sctp") return () => {};
  try {
    if (isIPv6(host)) return await (protocol === "udp" ? proxyUdp : proxyTcp)(host, port, target);
    return await (protocol === "udp" ? holdUdp : holdTcp)(host, port);
  } catch (error) {
    const why = bindFailures[(error as NodeJS.ErrnoException).code ?? ""];
    throw why === undefined ? error : new PortTaken(`${host}:${port}: ${why}`, host, why);
  }
}

function holdUdp(host: string, port: number): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: "udp4", reuseAddr: false });
    socket.once("error", reject);
    socket.bind({ address: host, port, exclusive: true }, () => resolve(() => socket.close()));
    socket.unref();
  });
}

function holdTcp(host: string, port: number): Promise<() => void> {
  return new Promise((resolve, reject) => {
    // Whoever gets through to it (the rules send all others to the container) is turned away.
    const server = createServer((connection) => connection.destroy());
    server.once("error", reject);
    server.listen({ host, port, exclusive: true, backlog: 1 }, () => resolve(() => server.close()));
    server.unref();
  });
}

/** Whether the host has IPv6, asked as Docker does: by listening on its loopback address. */
function listensOnV6(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "::1", port: 0, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
