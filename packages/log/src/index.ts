/** Structured logs: JSON lines on stderr, one a record, in pino's format. */
import { type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

/** Keys whose values never reach a log, at the top of a record and one and two levels down. */
const secretKeys = ["auth", "authorization", "password", "token", "identitytoken", "registrytoken", "secret"];

export interface LoggerOptions {
  /** The service's name, part of every record. */
  service: string;
  /** trace, debug, info, warn, error, fatal or silent; info when absent. */
  level?: string | undefined;
  /** Where lines go; stderr when absent. Tests pass their own. */
  destination?: { write(line: string): void } | undefined;
}

export function createLogger({ service, level = "info", destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service, pid: process.pid },
    // Text for the level: these lines are read by people as often as by machines.
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: "[redacted]" },
  };
  return pino(options, destination ?? standardError());
}

/** bytes that wait for a full disk to have room again; what is more is lost */
const maxWaiting = 1024 * 1024;

function standardError() {
  // sync: a record written just before a crash must not be lost in a buffer.
  const stderr = pino.destination({ dest: 2, sync: true, maxLength: maxWaiting });
  // A log that can't be written is no reason to end, and there is nowhere to say so.
  stderr.on("error", () => {});
  return stderr;
}
