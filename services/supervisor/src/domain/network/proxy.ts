import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Socket } from "node:net";

/**
 * Ways from the host's IPv6 addresses to containers, which have IPv4 alone: what the rules can't translate this process carries.
 * Connections under way end with it; it takes the ports up again when it starts anew.
 */

export interface Target {
  address: string;
  port: number;
}

const maxConnections = 4096;
const maxUdpClients = 1024;
/** Docker's. */
const udpIdleMs = 90_000;

/** Listens on an IPv6 address. Resolves with what ends it, and every connection; rejects with bind's error. */
export function proxyTcp(host: string, port: number, target: Target): Promise<() => void> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const inside = connect({ host: target.address, port: target.port, allowHalfOpen: true });
    for (const [one, other] of [
      [client, inside],
      [inside, client],
    ] as const) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        // One that has said all has its end passed on already; the other may not have taken everything yet.
        if (one.errored || !one.readableEnded) other.destroy();
      });
      one.pipe(other);
    }
  });
  server.maxConnections = maxConnections;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: true, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", () => undefined);
      server.unref();
      resolve(() => {
        server.close();
        for (const socket of open) socket.destroy();
      });
    });
  });
}

/** The same for datagrams: each client has a socket towards the container until it has been silent for a while. */
export function proxyUdp(host: string, port: number, target: Target): Promise<() => void> {
  const server = createSocket({ type: "udp6", ipv6Only: true, reuseAddr: false });
  const clients = new Map<string, { socket: UdpSocket; timer: NodeJS.Timeout }>();
  const drop = (key: string) => {
    const client = clients.get(key);
    if (client === undefined) return;
    clients.delete(key);
    clearTimeout(client.timer);
    client.socket.close();
  };
  const admit = (key: string, from: RemoteInfo) => {
    const socket = createSocket("udp4");
    const client = { socket, timer: setTimeout(() => drop(key), udpIdleMs).unref() };
    socket.on("message", (message) => server.send(message, from.port, from.address, () => undefined));
    socket.on("error", () => drop(key));
    socket.unref();
    clients.set(key, client);
    return client;
  };
  server.on("message", (message, from) => {
    const key = `${from.address} ${from.port}`;
    const known = clients.get(key);
    if (known === undefined && clients.size >= maxUdpClients) return;
    const { socket, timer } = known ?? admit(key, from);
    timer.refresh();
    // What can't be delivered is lost, as datagrams are.
    socket.send(message, target.port, target.address, () => undefined);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.bind({ address: host, port, exclusive: true }, () => {
      server.off("error", reject);
      server.on("error", () => undefined);
      server.unref();
      resolve(() => {
        server.close();
        for (const key of [...clients.keys()]) drop(key);
      });
    });
  });
}
