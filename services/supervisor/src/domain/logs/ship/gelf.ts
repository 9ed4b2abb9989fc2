import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { promisify } from "node:util";
import { deflate, gzip } from "node:zlib";
import type { ContainerRecord } from "../../model.ts";
import { extraAttributes, tagOf } from "../options/attributes.ts";
import { type GelfOptions, parseGelf } from "../options/gelf.ts";
import { DatagramSender } from "./datagram.ts";
import { backOff, type Entry, type LogDriver } from "./driver.ts";
import { LogStream } from "./stream.ts";

const compress = { gzip: promisify(gzip), zlib: promisify(deflate) };
/** bytes of a chunk's data so that it fits an Ethernet frame, and how many chunks GELF allows. */
const chunkData = 1408;
const maxChunks = 128;
const level = { error: 3, info: 6 };

/** One message as GELF 1.1 has it. */
function messageOf({ stderr, time, content }: Entry, host: string, extra: object): Buffer {
  return Buffer.from(
    JSON.stringify({
      version: "1.1",
      host,
      short_message: content.toString(),
      timestamp: Number(time / 1_000_000n) / 1000,
      level: stderr ? level.error : level.info,
      ...extra,
    }),
  );
}

/** A message's datagrams. One that GELF can't carry (more than 128 chunks) gives none. */
function chunksOf(message: Buffer): Buffer[] {
  if (message.length <= chunkData + 12) return [message];
  const count = Math.ceil(message.length / chunkData);
  if (count > maxChunks) return [];
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Buffer.from([0x1e, 0x0f]),
      id,
      Buffer.from([index, count]),
      message.subarray(index * chunkData, (index + 1) * chunkData),
    ]),
  );
}

export function gelfDriver(record: ContainerRecord): LogDriver {
  const options = parseGelf(record.spec.hostConfig.logConfig.config);
  const extra = {
    _container_id: record.id,
    _container_name: record.name,
    _image_id: record.spec.imageId,
    _image_name: record.spec.config.image,
    _command: [record.path, ...record.args].join(" "),
    _tag: tagOf(record),
    _created: record.created,
    ...extraAttributes(record, (key) => (key.startsWith("_") ? key : `_${key}`)),
  };
  return options.transport === "udp" ? new GelfDatagrams(options, extra) : new GelfStream(options, extra);
}

class GelfDatagrams implements LogDriver {
  readonly #options: GelfOptions;
  readonly #extra: object;
  readonly #sender: DatagramSender;

  constructor(options: GelfOptions, extra: object) {
    this.#options = options;
    this.#extra = extra;
    this.#sender = new DatagramSender(options.host, options.port);
  }

  connect(): Promise<void> {
    return this.#sender.connect();
  }

  async send(entries: readonly Entry[]): Promise<void> {
    const { compression, level } = this.#options;
    const host = hostname();
    for (const entry of entries) {
      if (entry.content.length === 0) continue;
      const message = messageOf(entry, host, this.#extra);
      await this.#sender.send(
        chunksOf(compression === "none" ? message : await compress[compression](message, { level })),
      );
    }
  }

  close(): void {
    this.#sender.close();
  }

  retryDelay = backOff;
}

/** Over TCP a message ends with a zero byte. */
class GelfStream implements LogDriver {
  readonly #options: GelfOptions;
  readonly #extra: object;
  readonly #stream: LogStream;

  constructor(options: GelfOptions, extra: object) {
    this.#options = options;
    this.#extra = extra;
    this.#stream = new LogStream({ host: options.host, port: options.port, path: "" });
  }

  async connect(): Promise<void> {
    const { host, port } = this.#options;
    await this.#stream.connect().catch((error: Error) => {
      throw new Error(`gelf: cannot connect to GELF endpoint: ${host}:${port} ${error.message}`, { cause: error });
    });
  }

  send(entries: readonly Entry[]): Promise<void> {
    const host = hostname();
    const end = Buffer.from([0]);
    const messages = entries
      .filter(({ content }) => content.length > 0)
      .flatMap((entry) => [messageOf(entry, host, this.#extra), end]);
    return this.#stream.write(Buffer.concat(messages));
  }

  close(): void {
    this.#stream.close();
  }

  retryDelay(failures: number): number {
    return Math.max(backOff(failures), this.#options.reconnectDelay * 1000);
  }
}
