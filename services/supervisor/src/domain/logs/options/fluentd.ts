import { splitAddress, splitHost } from "./address.ts";
import { LogOptionError, parseBool, parseDuration, parseSize, parseUnsigned } from "./values.ts";

export interface FluentdOptions {
  transport: "tcp" | "tls" | "unix";
  host: string;
  port: number;
  path: string;
  /** Do not fail the start when the server is away. */
  async: boolean;
  /** bytes sent and not acknowledged at once */
  bufferLimit: number;
  /** ms */
  retryWait: number;
  maxRetries: number;
  subSecondPrecision: boolean;
  requestAck: boolean;
  /** ms; 0: none */
  writeTimeout: number;
}

const prefixed = <T>(prefix: string, parse: () => T): T => {
  try {
    return parse();
  } catch (error) {
    if (error instanceof LogOptionError) throw new LogOptionError(`${prefix}: ${error.message}`);
    throw error;
  }
};

function parseFluentdAddress(text: string): Pick<FluentdOptions, "transport" | "host" | "port" | "path"> {
  const usual = { host: "127.0.0.1", port: 24224, path: "" };
  if (text === "") return { transport: "tcp", ...usual };
  const { scheme, host, path } = splitAddress(text.includes("://") ? text : `tcp://${text}`);
  if (scheme === "unix") {
    if (path.replace(/^\/+/, "") === "") throw new LogOptionError("path is empty");
    return { transport: "unix", ...usual, path };
  }
  if (scheme !== "tcp" && scheme !== "tls") throw new LogOptionError(`unsupported scheme: '${scheme}'`);
  if (path !== "") throw new LogOptionError("should not contain a path element");
  const { name, port } = splitHost(host);
  const number = port ? prefixed("invalid port", () => parseUnsigned(port, 16)) : usual.port;
  return { transport: scheme, host: name || usual.host, port: number, path: "" };
}

function reconnectInterval(text: string): void {
  const key = "fluentd-async-reconnect-interval";
  const ms = prefixed(`invalid value for ${key}`, () => parseDuration(text));
  if (ms !== 0 && (ms < 100 || ms > 10_000))
    throw new LogOptionError(`invalid value for ${key}: value ("${text}") must be between 100ms and 10s`);
}

function writeTimeout(text: string): number {
  const key = "invalid value for fluentd-write-timeout: value must be a duration";
  const ms = prefixed(key, () => parseDuration(text));
  if (ms < 0) throw new LogOptionError(`${key} that is non-negative`);
  return ms;
}

/** @throws LogOptionError */
export function parseFluentd(options: Readonly<Record<string, string>>): FluentdOptions {
  const text = options["fluentd-address"] ?? "";
  const place = prefixed(`invalid fluentd-address (${text})`, () => parseFluentdAddress(text));
  const read = <T>(key: string, usual: T, parse: (value: string) => T): T => {
    const value = options[`fluentd-${key}`] ?? "";
    return value === "" ? usual : parse(value);
  };
  const bufferLimit = read("buffer-limit", 1 << 20, parseSize);
  const retryWait = read("retry-wait", 1000, parseDuration);
  const maxRetries = read("max-retries", 2 ** 31 - 1, (value) => parseUnsigned(value, 32));
  if (maxRetries > 2 ** 31 - 1) throw new LogOptionError("invalid fluentd-max-retries: value out of range");
  const isAsync = read("async", false, parseBool);
  read("async-reconnect-interval", undefined, reconnectInterval);
  return {
    ...place,
    async: isAsync,
    bufferLimit,
    retryWait,
    maxRetries,
    subSecondPrecision: read("sub-second-precision", false, parseBool),
    requestAck: read("request-ack", false, parseBool),
    writeTimeout: read("write-timeout", 0, writeTimeout),
  };
}
