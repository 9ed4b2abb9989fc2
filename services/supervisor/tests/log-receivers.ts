// Log servers for tests: real sockets that keep what comes.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** A stream server, plain or TLS. */
export class StreamReceiver {
  readonly connections: { bytes: Buffer }[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Called with what came and the way to answer. */
  onData: ((data: Buffer, socket: Socket) => void) | undefined;

  constructor(tls?: TlsOptions) {
    const accept = (socket: Socket) => {
      const connection = { bytes: Buffer.alloc(0) };
      this.connections.push(connection);
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (data: Buffer) => {
        connection.bytes = Buffer.concat([connection.bytes, data]);
        this.onData?.(data, socket);
      });
    };
    this.#server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
    this.#server.on("tlsClientError", () => {});
  }

  /** A unix socket, or with a number a port of 127.0.0.1 (0: any). Resolves to the port. */
  async listen(place: string | number): Promise<number> {
    if (typeof place === "string") this.#server.listen(place);
    else this.#server.listen(place, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  get text(): string {
    return Buffer.concat(this.connections.map(({ bytes }) => bytes)).toString();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export class DatagramReceiver {
  readonly messages: Buffer[] = [];
  readonly #socket: UdpSocket = createSocket("udp4");

  async listen(): Promise<number> {
    this.#socket.on("message", (message) => this.messages.push(message));
    this.#socket.bind(0, "127.0.0.1");
    await once(this.#socket, "listening");
    return this.#socket.address().port;
  }

  close(): void {
    this.#socket.close();
  }
}
