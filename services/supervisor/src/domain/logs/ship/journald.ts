import { randomUUID } from "node:crypto";
import { sendDatagrams } from "@berth/isolation";
import type { ContainerRecord } from "../../model.ts";
import { fromNano } from "../../time.ts";
import { extraAttributes, tagOf } from "../options/attributes.ts";
import { backOff, type Entry, type LogDriver } from "./driver.ts";

const journalSocket = "/run/systemd/journal/socket";
const priority = { error: "3", info: "6" };

/** Journal fields are made of capitals, digits and underscores, and begin with none of the last. */
const fieldName = (key: string): string =>
  key
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^_+/, "");

/** journald's native protocol: KEY=value and a newline, or with a newline in the value KEY, its length as uint64, the value. */
function journalEntry(fields: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const bytes = Buffer.from(value);
    if (bytes.includes(10)) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      parts.push(Buffer.from(`${key}\n`), length, bytes);
    } else parts.push(Buffer.from(`${key}=`), bytes);
    parts.push(Buffer.from("\n"));
  }
  return Buffer.concat(parts);
}

export function journaldDriver(record: ContainerRecord, socket = journalSocket): LogDriver {
  const tag = tagOf(record);
  const fields = {
    CONTAINER_ID: record.id.slice(0, 12),
    CONTAINER_ID_FULL: record.id,
    CONTAINER_NAME: record.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: record.spec.config.image,
    SYSLOG_IDENTIFIER: tag,
    CONTAINER_LOG_EPOCH: randomUUID().replaceAll("-", ""),
    ...extraAttributes(record, fieldName),
  };
  return new JournaldDriver(fields, socket);
}

class JournaldDriver implements LogDriver {
  readonly #fields: Record<string, string>;
  readonly #socket: string;
  #ordinal = 0;

  constructor(fields: Record<string, string>, socket: string) {
    this.#fields = fields;
    this.#socket = socket;
  }

  async connect(): Promise<void> {
    await sendDatagrams(this.#socket, [], true).catch((error: unknown) => {
      throw new Error("journald is not enabled on this host", { cause: error });
    });
  }

  send(entries: readonly Entry[]): Promise<void> {
    const messages = entries.map((entry) => this.#message(entry));
    return sendDatagrams(this.#socket, messages, true);
  }

  #message({ stderr, time, content, partial }: Entry): Buffer {
    this.#ordinal++;
    return journalEntry({
      PRIORITY: stderr ? priority.error : priority.info,
      MESSAGE: content,
      ...this.#fields,
      SYSLOG_TIMESTAMP: fromNano(time),
      ...(partial && {
        CONTAINER_PARTIAL_ID: partial.id,
        CONTAINER_PARTIAL_ORDINAL: String(partial.ordinal),
        CONTAINER_PARTIAL_LAST: String(partial.last),
        ...(partial.last ? {} : { CONTAINER_PARTIAL_MESSAGE: "true" }),
      }),
      CONTAINER_LOG_ORDINAL: String(this.#ordinal),
    });
  }

  close(): void {}

  retryDelay = backOff;
}
