import { BerthError } from "@berth/errors";
import { invalid, notBuilt } from "../errors.ts";
import type { LogConfig } from "../model.ts";

export interface LogSettings {
  /** Keep a log file at all. */
  keep: boolean;
  /** bytes; 0: never rotate. */
  maxSize: number;
  maxFiles: number;
}

/** Docker's drivers that are not built here; any other name is unknown to both. */
const otherDrivers = ["awslogs", "fluentd", "gcplogs", "gelf", "journald", "splunk", "syslog", "etwlogs"];
/** Options of json-file that Docker knows and that are not built. */
const otherOptions = ["labels", "labels-regex", "env", "env-regex", "tag", "compress", "cache-disabled"];

/** --log-driver and --log-opt. "local" keeps its rotation defaults; its files have the json-file format here. */
export function parseLogConfig({ type, config }: LogConfig): LogSettings {
  if (otherDrivers.includes(type)) throw notBuilt(`log driver "${type}"`);
  if (type === "none") return { keep: false, maxSize: 0, maxFiles: 1 };
  if (type !== "" && type !== "json-file" && type !== "local") {
    throw new BerthError("INVALID_ARGUMENT", `error looking up logging plugin ${type}: plugin "${type}" not found`);
  }
  const driver = type || "json-file";
  const settings: LogSettings =
    driver === "local" ? { keep: true, maxSize: 20 << 20, maxFiles: 5 } : { keep: true, maxSize: 0, maxFiles: 1 };
  for (const [key, value] of Object.entries(config)) {
    if (key === "max-size") settings.maxSize = value === "-1" ? 0 : parseSize(value);
    else if (key === "max-file") settings.maxFiles = parseCount(value);
    else if (key === "mode" || key === "max-buffer-size") checkMode(key, value);
    else if (otherOptions.includes(key) && !(key === "compress" && value === "false"))
      throw notBuilt(`log option "${key}"`);
    else if (key !== "compress") throw invalid(`unknown log opt '${key}' for ${driver} log driver`);
  }
  return settings;
}

/** The container never waits for its log here (the monitor writes to a file): non-blocking is what it gets either way. */
function checkMode(key: string, value: string): void {
  if (key === "mode" && value !== "blocking" && value !== "non-blocking" && value !== "") {
    throw invalid(`logger: mode: invalid log mode: ${value}`);
  }
  if (key === "max-buffer-size") parseSize(value);
}

/** "10m", "512k", "1073741824" to bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text);
  if (!match) throw invalid(`invalid size: '${text}'`);
  const power = ["", "k", "m", "g", "t", "p"].indexOf((match[2] ?? "").toLowerCase());
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

function parseCount(text: string): number {
  if (!/^-?\d{1,6}$/.test(text)) throw invalid(`strconv.Atoi: parsing "${text}": invalid syntax`);
  if (Number(text) < 1) throw invalid("max-file cannot be less than 1");
  return Number(text);
}
