import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";

/** UDP to one server. Nothing tells whether it arrives; a refusal (ICMP) counts for nothing, as in Docker. */
export class DatagramSender {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;

  constructor(host: string, port: number) {
    this.#host = host || "127.0.0.1";
    this.#port = port;
  }

  async connect(): Promise<void> {
    this.close();
    const { address, family } = await lookup(this.#host).catch((error: unknown) => {
      throw new Error(`dial udp: lookup ${this.#host}: no such host`, { cause: error });
    });
    const socket = createSocket(family === 6 ? "udp6" : "udp4");
    socket.on("error", () => {});
    await new Promise<void>((resolve) => socket.connect(this.#port, address, () => resolve()));
    this.#socket = socket;
  }

  send(messages: readonly Buffer[]): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return Promise.reject(new Error("not connected"));
    const sent = messages.map((message) => new Promise<void>((resolve) => socket.send(message, () => resolve())));
    return Promise.all(sent).then(() => undefined);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
