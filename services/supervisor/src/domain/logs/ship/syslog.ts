import { readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import type { ConnectionOptions } from "node:tls";
import { sendDatagrams } from "@berth/isolation";
import type { ContainerRecord } from "../../model.ts";
import { tagOf } from "../options/attributes.ts";
import {
  parseFacility,
  parseFormat,
  parseSyslogAddress,
  type SyslogFormat,
  type SyslogTarget,
} from "../options/syslog.ts";
import { DatagramSender } from "./datagram.ts";
import { backOff, type Entry, type LogDriver } from "./driver.ts";
import { LogStream } from "./stream.ts";

const severity = { error: 3, info: 6 };
/** Where a host's own syslog listens, in the order in which they are tried. */
const localSockets = ["/dev/log", "/var/run/syslog", "/var/run/log"];

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number: number): string => String(number).padStart(2, "0");

/** "Jan  2 03:04:05", local time (RFC 3164). */
function shortStamp(time: Date): string {
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${months[time.getMonth()]} ${String(time.getDate()).padStart(2)} ${clock}`;
}

/** RFC 3339 in local time, with six digits or none (RFC 5424). */
function longStamp(nano: bigint, micro: boolean): string {
  const time = new Date(Number(nano / 1_000_000n));
  const offset = -time.getTimezoneOffset();
  const zone =
    offset === 0
      ? "Z"
      : `${offset < 0 ? "-" : "+"}${two(Math.trunc(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const local = new Date(time.getTime() + offset * 60_000).toISOString().slice(0, 19);
  const fraction = micro ? `.${String((nano / 1000n) % 1_000_000n).padStart(6, "0")}` : "";
  return `${local}${fraction}${zone}`;
}

export interface SyslogIdentity {
  facility: number;
  format: SyslogFormat;
  tag: string;
  host: string;
  pid: number;
}

/** One message, its newline included. */
function formatSyslog({ stderr, time, content }: Entry, identity: SyslogIdentity): Buffer {
  const { facility, format, tag, host, pid } = identity;
  const priority = facility * 8 + (stderr ? severity.error : severity.info);
  const short = () => shortStamp(new Date(Number(time / 1_000_000n)));
  const head =
    format === ""
      ? `<${priority}>${short()} ${tag}[${pid}]: `
      : format === "rfc3164"
        ? `<${priority}>${short()} ${host} ${tag}[${pid}]: `
        : `<${priority}>1 ${longStamp(time, format === "rfc5424micro")} ${host} ${tag} ${pid} ${tag} - `;
  return Buffer.concat([Buffer.from(head), content, Buffer.from("\n")]);
}

/** @throws LogOptionError; Error in Go's words for certificates that can't be read */
export function syslogDriver(record: ContainerRecord): LogDriver {
  const { config } = record.spec.hostConfig.logConfig;
  const target = parseSyslogAddress(config["syslog-address"] ?? "", statSync);
  const identity: SyslogIdentity = {
    facility: parseFacility(config["syslog-facility"] ?? ""),
    format: parseFormat(config["syslog-format"] ?? ""),
    tag: tagOf(record),
    host: hostname(),
    pid: process.pid,
  };
  const tls = target.transport === "tcp+tls" ? tlsOptions(config, target) : undefined;
  const { transport } = target;
  if (transport === "udp") return new SyslogDatagrams(new DatagramSender(target.host, target.port), identity);
  if (transport === "" || transport === "unixgram")
    return new SyslogDatagrams(new LocalSender(target.path === "" ? localSockets : [target.path]), identity);
  // RFC 5425: over TLS the newer formats are counted instead of ended by a newline.
  const counted = transport === "tcp+tls" && identity.format.startsWith("rfc5424");
  return new SyslogStream(new LogStream({ ...target, tls }), identity, counted);
}

function tlsOptions(config: Readonly<Record<string, string>>, { host }: SyslogTarget): ConnectionOptions {
  const read = (key: string, what: string): Buffer | undefined => {
    const path = config[key] ?? "";
    if (path === "") return undefined;
    try {
      return readFileSync(path);
    } catch {
      throw Object.assign(new Error(`could not read ${what} "${path}": open ${path}: no such file or directory`), {
        code: "ENOENT",
      });
    }
  };
  const ca = read("syslog-tls-ca-cert", "CA certificate");
  const cert = read("syslog-tls-cert", "X509 certificate");
  const key = read("syslog-tls-key", "X509 key");
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    // As in Docker, to name the option is enough.
    rejectUnauthorized: config["syslog-tls-skip-verify"] === undefined,
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    minVersion: "TLSv1.2",
  };
}

class SyslogStream implements LogDriver {
  readonly #stream: LogStream;
  readonly #identity: SyslogIdentity;
  readonly #counted: boolean;

  constructor(stream: LogStream, identity: SyslogIdentity, counted: boolean) {
    this.#stream = stream;
    this.#identity = identity;
    this.#counted = counted;
  }

  connect(): Promise<void> {
    return this.#stream.connect();
  }

  send(entries: readonly Entry[]): Promise<void> {
    const messages = entries
      .filter(({ content }) => content.length > 0)
      .map((entry) => formatSyslog(entry, this.#identity))
      .flatMap((message) => (this.#counted ? [Buffer.from(`${message.length} `), message] : [message]));
    return this.#stream.write(Buffer.concat(messages));
  }

  close(): void {
    this.#stream.close();
  }

  retryDelay = backOff;
}

interface Datagrams {
  connect(): Promise<void>;
  send(messages: readonly Buffer[]): Promise<void>;
  close(): void;
}

class SyslogDatagrams implements LogDriver {
  readonly #sender: Datagrams;
  readonly #identity: SyslogIdentity;

  constructor(sender: Datagrams, identity: SyslogIdentity) {
    this.#sender = sender;
    this.#identity = identity;
  }

  connect(): Promise<void> {
    return this.#sender.connect();
  }

  send(entries: readonly Entry[]): Promise<void> {
    const messages = entries
      .filter(({ content }) => content.length > 0)
      .map((entry) => formatSyslog(entry, this.#identity));
    return this.#sender.send(messages);
  }

  close(): void {
    this.#sender.close();
  }

  retryDelay = backOff;
}

/** Datagrams to the first of some unix sockets that takes them. */
class LocalSender implements Datagrams {
  readonly #paths: readonly string[];
  #path = "";

  constructor(paths: readonly string[]) {
    this.#paths = paths;
  }

  async connect(): Promise<void> {
    for (const path of this.#paths) {
      const reached = await sendDatagrams(path, [], false).then(
        () => true,
        () => false,
      );
      if (!reached) continue;
      this.#path = path;
      return;
    }
    throw new Error("Unix syslog delivery error");
  }

  send(messages: readonly Buffer[]): Promise<void> {
    return sendDatagrams(this.#path, messages, false);
  }

  close(): void {}
}
