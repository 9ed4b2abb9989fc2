import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { PortRequest, Protocol } from "../validate/ports.ts";

/** Keeps a host port from everybody else. */
export interface Hold {
  readonly hostIp: string;
  readonly hostPort: number;
  release(): void;
}

/** A port that can't be had: another container's (`bind` empty), or the host won't give it (`bind` says why). */
export class PortTaken extends Error {
  readonly bind: string;
  constructor(message: string, bind = "") {
    super(message);
    this.name = "PortTaken";
    this.bind = bind;
  }
}

const keyOf = (protocol: Protocol, ip: string, port: number) => `${protocol}/${ip}/${port}`;

/**
 * Host ports of this engine. A port is held by a socket of our own as well, as no rule of ours would keep another program of
 * the host from listening there and wondering why nobody comes.
 */
export class PortAllocator {
  readonly #taken = new Set<string>();
  #range: [first: number, last: number] | undefined;
  #next = 0;

  /** A fixed port, one of a range, or any. Throws PortTaken. */
  async allocate(request: PortRequest): Promise<Hold> {
    const { hostPortFirst: first, hostPortLast: last } = request;
    if (first !== 0 && first === last) return this.#hold(request, first);
    const [from, to] = first === 0 ? await this.#ephemeral() : [first, last];
    const count = to - from + 1;
    const start = first === 0 ? Math.max(this.#next, from) : from;
    for (let offset = 0; offset < count; offset++) {
      const port = from + ((start - from + offset) % count);
      try {
        const hold = await this.#hold(request, port);
        if (first === 0) this.#next = port + 1 > to ? from : port + 1;
        return hold;
      } catch (error) {
        if (!(error instanceof PortTaken)) throw error;
      }
    }
    throw new PortTaken(first === 0 ? "all ports are allocated" : "port is already allocated");
  }

  /** A port that a running container has had since before this process; without a socket if the host won't give one. */
  async adopt(request: PortRequest): Promise<Hold> {
    return this.allocate(request).catch(() => this.#mark(request, request.hostPortFirst, () => {}));
  }

  async #hold({ protocol, hostIp, ...rest }: PortRequest, port: number): Promise<Hold> {
    if (this.#conflicts(protocol, hostIp, port)) throw new PortTaken("port is already allocated");
    const request = { protocol, hostIp, ...rest };
    // Marked before the socket is bound, so that no other call takes it meanwhile.
    let close = () => {};
    const hold = this.#mark(request, port, () => close());
    try {
      close = await bind(protocol, hostIp, port);
      return hold;
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  #mark({ protocol, hostIp }: PortRequest, port: number, close: () => void): Hold {
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

  /** All addresses and one address of them are the same port. */
  #conflicts(protocol: Protocol, ip: string, port: number): boolean {
    if (this.#taken.has(keyOf(protocol, "", port))) return true;
    if (ip !== "") return this.#taken.has(keyOf(protocol, ip, port));
    for (const key of this.#taken) {
      if (key.startsWith(`${protocol}/`) && key.endsWith(`/${port}`)) return true;
    }
    return false;
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
};

function bind(protocol: Protocol, ip: string, port: number): Promise<() => void> {
  // No socket of that kind here; the mark alone keeps it from other containers.
  if (protocol === "sctp") return Promise.resolve(() => {});
  const host = ip === "" ? "0.0.0.0" : ip;
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => {
      const why = bindFailures[error.code ?? ""];
      reject(why === undefined ? error : new PortTaken(`${host}:${port}: ${why}`, why));
    };
    if (protocol === "udp") {
      const socket = createSocket({ type: "udp4", reuseAddr: false });
      socket.on("error", fail);
      socket.bind({ address: host, port, exclusive: true }, () => resolve(() => socket.close()));
      socket.unref();
      return;
    }
    // Whoever gets through to it (the rules send all others to the container) is turned away.
    const server = createServer((connection) => connection.destroy());
    // For as long as it is held: what goes wrong later (no descriptor left to accept with) is none of the port's.
    server.on("error", fail);
    server.listen({ host, port, exclusive: true, backlog: 1 }, () => resolve(() => server.close()));
    server.unref();
  });
}
