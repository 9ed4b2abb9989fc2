import type { LogConfig } from "../../model.ts";
import { driverOf } from "./validate.ts";
import { LogOptionError, parseBool, parseInteger, parseSize } from "./values.ts";

/** How the monitor keeps a container's log. */
export interface LogFileSettings {
  /** The format: ours, or Docker's json-file. */
  compact: boolean;
  /** bytes; 0: never rotate. */
  maxSize: number;
  maxFiles: number;
  compress: boolean;
  /** A full log waits for what has not been sent away. */
  hold: boolean;
}

/**
 * json-file without options: Docker keeps everything, and a chatty container fills the disk. Five files of 100 MiB here;
 * `max-size=0` is refused by Docker, so "unlimited" is spelled `max-size=-1` here.
 */
const jsonDefaults = { maxSize: 100 << 20, maxFiles: 5 };
/** Docker's for its local driver and cache. */
const localDefaults = { maxSize: 20 << 20, maxFiles: 5 };
const maxFileCount = 1000;

/** Options that only a start looks at. @throws LogOptionError in Docker's words */
export function fileSettings(config: LogConfig): LogFileSettings | undefined {
  const driver = driverOf(config);
  const { config: options } = config;
  if (driver === "none") return undefined;
  if (driver === "json-file") return jsonSettings(options);
  if (driver === "local") return { ...localSettings(options, ""), hold: false };
  return { ...localSettings(options, "cache-"), hold: options["mode"] === "blocking" };
}

type Options = Readonly<Record<string, string>>;

function jsonSettings(options: Options): LogFileSettings {
  const { "max-size": size, "max-file": files } = options;
  const limited = size !== undefined && size !== "-1";
  const maxSize = size === undefined ? jsonDefaults.maxSize : limited ? parseSize(size) : 0;
  if (limited && maxSize <= 0) throw new LogOptionError("max-size must be a positive number");
  // A size alone means one file, as in Docker; neither means our own bound.
  const usual = size === undefined ? jsonDefaults.maxFiles : 1;
  const maxFiles = files === undefined ? usual : parseInteger(files);
  if (maxFiles < 1) throw new LogOptionError("max-file cannot be less than 1");
  const compress = options["compress"] === undefined ? false : parseBool(options["compress"]);
  if (compress && (!limited || maxFiles < 2))
    throw new LogOptionError("compress cannot be true when max-file is less than 2 or max-size is not set");
  return { compact: false, maxSize, maxFiles: Math.min(maxFiles, maxFileCount), compress, hold: false };
}

function localSettings(options: Options, prefix: string): Omit<LogFileSettings, "hold"> {
  const read = <T>(
    key: string,
    usual: T,
    parse: (text: string) => T,
    words: (key: string, text: string) => string,
  ): T => {
    const text = options[prefix + key];
    if (text === undefined) return usual;
    try {
      return parse(text);
    } catch (error) {
      throw new LogOptionError(`${words(key, text)}: ${(error as Error).message}`);
    }
  };
  const value = (key: string, text: string) => `invalid value for ${key}: ${text}`;
  const maxSize = read("max-size", localDefaults.maxSize, parseSize, value);
  const maxFiles = read("max-file", localDefaults.maxFiles, parseInteger, value);
  const compress = read("compress", true, parseBool, (key) => `error reading ${key} log option`);
  if (maxSize <= 0) throw new LogOptionError("max size must be a positive number");
  if (maxFiles < 0) throw new LogOptionError("max file count must be a positive number");
  if (compress && maxFiles <= 1) throw new LogOptionError("compression cannot be enabled when max file count is 1");
  return { compact: true, maxSize, maxFiles: Math.min(Math.max(maxFiles, 1), maxFileCount), compress };
}
