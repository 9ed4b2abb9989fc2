import { randomBytes } from "node:crypto";
import { decodeMultiStream, ExtData, encode } from "@msgpack/msgpack";
import type { ContainerRecord } from "../../model.ts";
import { extraAttributes, tagOf } from "../options/attributes.ts";
import { type FluentdOptions, parseFluentd } from "../options/fluentd.ts";
import { backOff, type Entry, type LogDriver } from "./driver.ts";
import { LogStream } from "./stream.ts";

/** ms to wait for a server that was asked to acknowledge. */
const ackTimeoutMs = 30_000;

/** EventTime of Fluentd's forward protocol: seconds and nanoseconds, each a big-endian uint32. */
function eventTime(nano: bigint): ExtData {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(Number(nano / 1_000_000_000n) >>> 0, 0);
  bytes.writeUInt32BE(Number(nano % 1_000_000_000n), 4);
  return new ExtData(0, bytes);
}

export function fluentdDriver(record: ContainerRecord): LogDriver & { async: boolean } {
  const options = parseFluentd(record.spec.hostConfig.logConfig.config);
  const fields = { container_id: record.id, container_name: `/${record.name}` };
  return new FluentdDriver(options, tagOf(record), fields, extraAttributes(record));
}

/** Forward protocol v1, message mode: [tag, time, record, option]. */
class FluentdDriver implements LogDriver {
  readonly #options: FluentdOptions;
  readonly #tag: string;
  readonly #fields: Record<string, string>;
  readonly #extra: Record<string, string>;
  readonly #stream: LogStream;
  readonly #acks = new Map<string, { resolve: () => void; timer: NodeJS.Timeout }>();
  readonly async: boolean;

  constructor(options: FluentdOptions, tag: string, fields: Record<string, string>, extra: Record<string, string>) {
    this.#options = options;
    this.#tag = tag;
    this.#fields = fields;
    this.#extra = extra;
    this.async = options.async;
    const { host, port, path, transport } = options;
    this.#stream = new LogStream({ host, port, path, tls: transport === "tls" ? {} : undefined });
  }

  async connect(): Promise<void> {
    this.#forgetAcks();
    await this.#stream.connect();
    if (this.#options.requestAck) this.#listen();
  }

  /** {"ack": chunk} as it comes. */
  #listen(): void {
    const feed = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#stream.onData = (data) => controller.enqueue(data);
      },
    });
    const read = async () => {
      for await (const answer of decodeMultiStream(feed)) {
        const { ack } = (answer ?? {}) as { ack?: unknown };
        if (typeof ack === "string") this.#acks.get(ack)?.resolve();
      }
    };
    // What is no msgpack is no acknowledgement: the wait for one ends the connection.
    read().catch(() => {});
  }

  async send(entries: readonly Entry[]): Promise<void> {
    const { requestAck, writeTimeout, bufferLimit } = this.#options;
    let waiting: Promise<void>[] = [];
    let batch: Uint8Array[] = [];
    let bytes = 0;
    const flush = async () => {
      const all = Buffer.concat(batch);
      batch = [];
      bytes = 0;
      await this.#stream.write(all, ...(writeTimeout > 0 ? [writeTimeout] : []));
      await Promise.all(waiting);
      waiting = [];
    };
    for (const entry of entries) {
      const chunk = requestAck ? randomBytes(16).toString("base64") : undefined;
      const message = this.#message(entry, chunk);
      if (bytes > 0 && bytes + message.length > bufferLimit) await flush();
      batch.push(message);
      bytes += message.length;
      if (chunk === undefined) continue;
      const acknowledged = this.#acknowledged(chunk);
      // Somebody looks at each: a rejection while another is awaited, or after the write failed, is none that nobody handled.
      acknowledged.catch(() => {});
      waiting.push(acknowledged);
    }
    await flush();
  }

  #message({ stderr, time, content, partial }: Entry, chunk: string | undefined): Uint8Array {
    const record = {
      ...this.#fields,
      source: stderr ? "stderr" : "stdout",
      log: content.toString(),
      ...this.#extra,
      ...(partial && {
        partial_message: "true",
        partial_id: partial.id,
        partial_ordinal: String(partial.ordinal),
        partial_last: String(partial.last),
      }),
    };
    const when = this.#options.subSecondPrecision ? eventTime(time) : Number(time / 1_000_000_000n);
    return encode([this.#tag, when, record, chunk === undefined ? {} : { chunk }]);
  }

  #acknowledged(chunk: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#acks.delete(chunk);
        this.#stream.close();
        reject(new Error("fluentd did not acknowledge"));
      }, ackTimeoutMs);
      const acknowledge = () => {
        clearTimeout(timer);
        this.#acks.delete(chunk);
        resolve();
      };
      this.#acks.set(chunk, { resolve: acknowledge, timer });
    });
  }

  /** What a connection that is gone did not acknowledge is sent again, and its time must not end the next connection. */
  #forgetAcks(): void {
    for (const { timer } of this.#acks.values()) clearTimeout(timer);
    this.#acks.clear();
  }

  close(): void {
    this.#forgetAcks();
    this.#stream.close();
  }

  retryDelay(failures: number): number | undefined {
    const { maxRetries, retryWait } = this.#options;
    if (failures > maxRetries) return undefined;
    // As Fluentd's own loggers: half as long again each time.
    return Math.max(backOff(1), Math.min(retryWait * 1.5 ** Math.min(failures - 1, 30), 60_000));
  }
}
