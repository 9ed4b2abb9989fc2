import { BerthError, programFailure } from "@berth/errors";
import type { ContainerRecord } from "../model.ts";
import type { StartReport } from "../monitor/protocol.ts";
import { hint, mountFailure } from "./mount-failure.ts";

const shim = "failed to create task for container: failed to create shim task: ";
const runc = `${shim}OCI runtime create failed: runc create failed: `;
const init = "unable to start container process: error during container init: ";

/** Docker's text for a container that could not be started; clients take 126 and 127 from words in it. */
export function startFailure(record: ContainerRecord, report: Extract<StartReport, { event: "failed" }>): BerthError {
  const { exitCode, message, phase } = report;
  if (phase === "runtime-create") return runtimeFailure(`${shim}OCI runtime create failed: ${message}`);
  if (phase === "runtime-start") return runtimeFailure(`OCI runtime start failed: ${message}`);
  // Docker looks users up itself, before it asks a runtime.
  if (/^(unable to find (user|group) |uids and gids must be in range)/.test(message))
    return new BerthError("INTERNAL", message, { exitCode: "128" });
  const mount = phase === "exec" ? undefined : mountFailure(record, message);
  if (mount !== undefined && typeof mount !== "string") return mount;
  const text = runc + init + (mount ?? (phase === "exec" ? programFailure(record.path, exitCode, message) : message));
  const known = exitCode === 126 || exitCode === 127 || isInvalidConfig(text);
  const code = exitCode === 126 || exitCode === 127 ? exitCode : codeOf(text);
  return new BerthError(known ? "START_FAILED" : "INTERNAL", text, { exitCode: String(code) });
}

/** What another runtime has said, as it is. */
function runtimeFailure(said: string): BerthError {
  const text = said + hintOf(said);
  const exitCode = codeOf(text);
  return new BerthError(exitCode === 128 ? "INTERNAL" : "START_FAILED", text, { exitCode: String(exitCode) });
}

/** What Docker adds where clients look for it, or where users wonder. */
function hintOf(text: string): string {
  if (/permission denied/i.test(text)) return "";
  if (/is a directory/i.test(text)) return ": permission denied";
  if (!/not a directory/i.test(text) || text.endsWith(hint)) return "";
  return `: ${hint}`;
}

const isInvalidConfig = (text: string): boolean => codeOf(text) !== 128;

/** Docker's reading of a runtime's text. */
function codeOf(text: string): number {
  if (/permission denied/i.test(text)) return 126;
  if (/not a directory|executable file not found|no such file or directory/i.test(text)) return 127;
  return 128;
}
