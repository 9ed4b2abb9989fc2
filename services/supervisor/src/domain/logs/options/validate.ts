import { statSync } from "node:fs";
import { BerthError } from "@berth/errors";
import { invalid, notBuilt } from "../../errors.ts";
import type { LogConfig } from "../../model.ts";
import { parseFluentd } from "./fluentd.ts";
import { checkGelf } from "./gelf.ts";
import { checkSyslog } from "./syslog.ts";
import { LogOptionError, parseBool, parseSize } from "./values.ts";

type Options = Readonly<Record<string, string>>;

const attributeKeys = ["labels", "labels-regex", "env", "env-regex", "tag"];
/** Known to every driver (Docker's own, and those of its cache). */
const commonKeys = ["mode", "max-buffer-size"];
const cacheKeys = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

interface Driver {
  keys: readonly string[];
  /** How an unknown option is refused; Docker's local driver words it another way. */
  unknown?: (key: string) => string;
  check?: (options: Options) => void;
}

const drivers: Record<string, Driver> = {
  "json-file": { keys: ["max-size", "max-file", "compress", ...attributeKeys] },
  local: {
    keys: ["max-size", "max-file", "compress"],
    unknown: (key) => `unknown log opt '${key}' for log driver local`,
  },
  syslog: {
    keys: [
      "syslog-address",
      "syslog-facility",
      "syslog-format",
      "syslog-tls-ca-cert",
      "syslog-tls-cert",
      "syslog-tls-key",
      "syslog-tls-skip-verify",
      ...attributeKeys,
    ],
    check: (options) => checkSyslog(options, statSync),
  },
  fluentd: {
    keys: [
      "fluentd-address",
      "fluentd-async",
      "fluentd-async-reconnect-interval",
      "fluentd-buffer-limit",
      "fluentd-max-retries",
      "fluentd-request-ack",
      "fluentd-retry-wait",
      "fluentd-sub-second-precision",
      "fluentd-write-timeout",
      ...attributeKeys,
    ],
    check: parseFluentd,
  },
  gelf: {
    keys: [
      "gelf-address",
      "gelf-compression-level",
      "gelf-compression-type",
      "gelf-tcp-max-reconnect",
      "gelf-tcp-reconnect-delay",
      ...attributeKeys,
    ],
    check: checkGelf,
  },
  journald: { keys: attributeKeys },
};

/** Docker's drivers that are not built here; any other name is unknown to both. */
const otherDrivers = ["awslogs", "splunk"];

/** The driver that an empty name stands for. */
export const driverOf = ({ type }: LogConfig): string => type || "json-file";

/** `--log-driver` and `--log-opt` as create checks them; the rest is said at start. @throws INVALID_ARGUMENT, NOT_IMPLEMENTED */
export function checkLogConfig(config: LogConfig): void {
  const name = driverOf(config);
  if (name === "none") return;
  if (otherDrivers.includes(name)) throw notBuilt(`failed to initialize logging driver: ${name}`);
  const driver = drivers[name];
  if (driver === undefined) {
    throw new BerthError("INVALID_ARGUMENT", `error looking up logging plugin ${name}: plugin "${name}" not found`);
  }
  try {
    checkCommon(config.config);
    checkDriver(name, driver, config.config);
  } catch (error) {
    if (error instanceof LogOptionError) throw invalid(error.message);
    throw error;
  }
}

function checkCommon(options: Options): void {
  const mode = options["mode"] ?? "";
  if (!["", "blocking", "non-blocking"].includes(mode))
    throw new LogOptionError(`logger: logging mode not supported: ${mode}`);
  const buffer = options["max-buffer-size"];
  if (buffer !== undefined) {
    if (mode !== "non-blocking")
      throw new LogOptionError("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    try {
      parseSize(buffer);
    } catch (error) {
      throw new LogOptionError(`error parsing option max-buffer-size: ${(error as Error).message}`);
    }
  }
  const disabled = options["cache-disabled"] ?? "";
  if (disabled === "") return;
  try {
    parseBool(disabled);
  } catch {
    throw new LogOptionError(`invalid value for option cache-disabled: ${disabled}`);
  }
}

function checkDriver(name: string, driver: Driver, options: Options): void {
  const own: Record<string, string> = {};
  for (const [key, value] of Object.entries(options)) {
    if (commonKeys.includes(key) || cacheKeys.includes(key)) continue;
    own[key] = value;
  }
  // Docker's gelf says first that the address is missing.
  if (name === "gelf") driver.check?.(own);
  for (const key of Object.keys(own)) {
    if (driver.keys.includes(key)) continue;
    throw new LogOptionError(driver.unknown?.(key) ?? `unknown log opt '${key}' for ${name} log driver`);
  }
  driver.check?.(own);
}
