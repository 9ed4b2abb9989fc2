import type { Socket } from "node:net";
import { BerthError, execFailureText } from "@berth/errors";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import { linkEnv } from "../containers/links.ts";
import type { Parts } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import { conflict, invalid, noSuchExec, notRunning } from "../errors.ts";
import { newId } from "../ids.ts";
import type { ExecRecord } from "../model.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import type { MonitorRequest } from "../monitor/protocol.ts";
import { execProcessOf, userOf } from "../spec/process.ts";
import { forgetExecs } from "./progress.ts";
import { checkUser } from "./user.ts";

export type ExecOptions = Omit<ExecRecord, "v" | "id" | "containerId" | "started" | "running" | "exitCode" | "pid">;

const maxExecsKept = 4096;

/** `POST /containers/{id}/exec`. Throws CONTAINER_NOT_RUNNING, CONTAINER_PAUSED, INVALID_ARGUMENT (also for a user that the container has not). */
export async function createExec(
  parts: Parts,
  container: Container,
  options: ExecOptions,
  reference = container.id,
): Promise<string> {
  checkRuns(container, reference);
  if (options.cmd.length === 0) throw invalid("No exec command specified");
  await checkUser(container, options.user);
  if (container.execs.size >= maxExecsKept) forgetFinished(parts, container);
  const state = { started: false, running: false, exitCode: null, pid: 0 };
  const exec: ExecRecord = { v: 1, id: newId(), containerId: container.id, ...options, ...state };
  parts.registry.execs.set(exec.id, exec);
  container.execs.add(exec.id);
  container.openExecs.add(exec.id);
  const action = `exec_create: ${commandLine(exec)}`;
  parts.records.commitSoon({
    putExec: exec,
    events: [containerEvent(parts.nodeId, container.record, action, { execID: exec.id })],
  });
  return exec.id;
}

const commandLine = ({ cmd }: ExecRecord): string => `${cmd[0] ?? ""} ${cmd.slice(1).join(" ")}`;

/** `reference`: what the caller named it by. */
function checkRuns(container: Container, reference = container.id): void {
  const { record } = container;
  const { status } = record.state;
  if (status === "paused")
    throw new BerthError("CONTAINER_PAUSED", `Container ${reference} is paused, unpause the container before exec`);
  if (status === "restarting")
    throw conflict(`Container ${record.id} is restarting, wait until the container is running`);
  if (!isRunning(record)) throw notRunning(record.id);
}

/** Bounds what one container keeps: the oldest finished ones go. */
function forgetFinished(parts: Parts, container: Container): void {
  const finished = [...container.execs]
    .filter((id) => !parts.registry.execs.get(id)?.running)
    .slice(0, maxExecsKept / 2);
  if (finished.length === 0)
    throw new BerthError("RESOURCE_EXHAUSTED", `container ${container.id} has ${maxExecsKept} execs`);
  forgetExecs(parts, container, finished);
}

export function findExec(parts: Parts, id: string): { exec: ExecRecord; container: Container } {
  const exec = parts.registry.execs.get(id);
  const container = parts.registry.get(exec?.containerId ?? "");
  if (!exec || !container) throw noSuchExec(id);
  return { exec, container };
}

export interface StartExecOptions {
  detach: boolean;
  /** rows, columns; empty: what create said. */
  consoleSize: readonly number[];
}

/** Marks the exec as begun and gives the monitor's request for it. Throws CONFLICT if it has been begun before. */
export function beginExec(
  parts: Parts,
  id: string,
  options: StartExecOptions,
): { exec: ExecRecord; container: Container; request: MonitorRequest } {
  const { exec, container } = findExec(parts, id);
  if (exec.running) throw conflict(`exec command ${id} is already running`);
  if (exec.started) throw conflict(`exec command ${id} has already run`);
  checkRuns(container);
  exec.started = true;
  const size = options.consoleSize.length === 2 ? options.consoleSize : exec.consoleSize;
  const [rows = 0, cols = 0] = size;
  const { spec } = container.record;
  const attach = options.detach
    ? null
    : { stdin: exec.attachStdin, stdout: exec.attachStdout, stderr: exec.attachStderr };
  const request: MonitorRequest = {
    op: "exec",
    id,
    process: execProcessOf(spec, { ...exec, consoleSize: [rows, cols] }, parts.facts, linkEnv(parts, container.record)),
    user: userOf(exec.user, spec.config.user),
    privileged: exec.privileged || spec.hostConfig.privileged,
    attach,
    rows,
    cols,
  };
  const action = `exec_start: ${commandLine(exec)}`;
  parts.records.commitSoon({
    putExec: exec,
    events: [containerEvent(parts.nodeId, container.record, action, { execID: id })],
  });
  if (exec.workingDir !== "" && !exec.workingDir.startsWith("/")) throw badDirectory(parts, exec, container);
  return { exec, container, request };
}

/** No program is run for a directory that is none; Docker tells so when the exec is started. */
function badDirectory(parts: Parts, exec: ExecRecord, container: Container): BerthError {
  exec.exitCode = 128;
  container.openExecs.delete(exec.id);
  parts.records.commitSoon({ putExec: exec });
  const text = "OCI runtime exec failed: exec failed: Cwd must be an absolute path";
  return new BerthError("START_FAILED", text, { exitCode: "128" });
}

/** Starts it and gives its stream (none when detached). Throws START_FAILED with Docker's text. */
export async function runExec(
  parts: Parts,
  id: string,
  options: StartExecOptions,
): Promise<{ exec: ExecRecord; socket: Socket; head: Buffer }> {
  const { exec, container, request } = beginExec(parts, id, options);
  try {
    const { answer, socket, head } = await container.monitor.stream<{ pid: number }>(request);
    Object.assign(exec, { running: exec.exitCode === null, pid: answer.pid });
    if (options.detach) socket.destroy();
    return { exec, socket, head };
  } catch (error) {
    throw await failedExec(parts, exec, container, error);
  }
}

async function failedExec(parts: Parts, exec: ExecRecord, container: Container, error: unknown): Promise<Error> {
  if (error instanceof MonitorGone) return notRunning(container.id);
  if (!(error instanceof MonitorError)) return error as Error;
  const exitCode = error.exitCode ?? 126;
  Object.assign(exec, { running: false, exitCode });
  container.openExecs.delete(exec.id);
  await parts.records.commitLazily({ putExec: exec });
  const text = execFailureText(exec.cmd[0] ?? "", { ...error.failure, exitCode });
  return new BerthError("START_FAILED", text, { exitCode: String(exitCode) }, { cause: error });
}
