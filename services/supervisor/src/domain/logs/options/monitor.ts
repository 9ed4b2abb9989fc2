import { BerthError } from "@berth/errors";
import type { ContainerRecord } from "../../model.ts";
import type { MonitorLog } from "../../spec/oci.ts";
import { jsonAttributes } from "./attributes.ts";
import { fileSettings } from "./files.ts";
import { LogOptionError } from "./values.ts";

export interface LogPaths {
  json: string;
  compact: string;
}

/** `log` of monitor.json; null keeps none. @throws START_FAILED in Docker's words */
export function monitorLog(record: ContainerRecord, paths: LogPaths): MonitorLog | null {
  return asStartFailure(() => {
    const settings = fileSettings(record.spec.hostConfig.logConfig);
    if (settings === undefined) return null;
    const path = settings.compact ? paths.compact : paths.json;
    return { path, ...settings, attributes: settings.compact ? "" : jsonAttributes(record) };
  });
}

/** A driver's complaint at start, as Docker passes it on. */
export function loggingFailure(message: string, httpStatus = "500"): BerthError {
  return new BerthError(
    "START_FAILED",
    `failed to create task for container: failed to initialize logging driver: ${message}`,
    { httpStatus },
  );
}

function asStartFailure<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof LogOptionError) throw loggingFailure(error.message);
    throw error;
  }
}
