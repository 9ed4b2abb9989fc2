import type { Socket } from "node:net";
import { BerthError, errorMessage } from "@berth/errors";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { createExec, runExec } from "../exec/exec.ts";
import { forgetExecs } from "../exec/progress.ts";
import type { HealthResult } from "../model.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import { now } from "../time.ts";
import { SIGKILL } from "../validate/signals.ts";
import { within } from "../within.ts";
import { ProbeOutput } from "./output.ts";
import { goDuration, type HealthPlan } from "./plan.ts";

/** A probe that was killed has this long to be gone; then nobody waits for it any more. */
const killedMs = 10_000;

/** The reason to call off a probe without touching it: this process ends. */
export const closing = Symbol("closing");

/** Runs one probe as an exec of the container. Undefined: called off by the signal, the probe is killed. Never throws. */
export async function runProbe(
  parts: Parts,
  container: Container,
  plan: HealthPlan,
  signal: AbortSignal,
): Promise<HealthResult | undefined> {
  const start = now();
  let id = "";
  try {
    id = await createProbe(parts, container, plan.command);
    const { exitCode, output } = await attend(parts, container, id, plan.timeoutMs, signal);
    return signal.aborted ? undefined : { start, end: now(), exitCode, output };
  } catch (error) {
    return signal.aborted ? undefined : { start, end: now(), exitCode: -1, output: errorMessage(error) };
  } finally {
    // Of a supervisor that ends, the next one finds it.
    if (id !== "" && signal.reason !== closing) forget(parts, container, id);
  }
}

function createProbe(parts: Parts, container: Container, cmd: string[]): Promise<string> {
  const { user, workingDir } = container.record.spec.config;
  const streams = { attachStdin: false, attachStdout: true, attachStderr: true };
  const plain = { tty: false, privileged: false, detachKeys: "", consoleSize: [], env: [] };
  return createExec(parts, container, { cmd, user, workingDir, ...streams, ...plain, probe: true });
}

/** Nobody asks for a probe that is over, and there is one more every few seconds. */
function forget(parts: Parts, container: Container, id: string): void {
  container.execEnded(id);
  forgetExecs(parts, container, [id]);
}

async function attend(
  parts: Parts,
  container: Container,
  id: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Pick<HealthResult, "exitCode" | "output">> {
  const ended = container.execEnd(id);
  const { exec, socket, head } = await runExec(parts, id, { detach: false, consoleSize: [] });
  const output = new ProbeOutput();
  if (head.length > 0) output.push(head);
  const closed = collect(socket, output);
  const over = Promise.all([closed, ended]);
  const kill = () => void (signal.reason === closing || killProbe(parts, container, id));
  signal.addEventListener("abort", kill, { once: true });
  if (signal.aborted) kill();
  try {
    if (!(await within(over, timeoutMs, signal))) {
      kill();
      await within(over, killedMs);
      const text = output.text();
      const why = `Health check exceeded timeout (${goDuration(timeoutMs)})`;
      return { exitCode: -1, output: text === "" ? why : `${why}: ${text}` };
    }
    if (exec.exitCode === null)
      throw new BerthError("INTERNAL", `healthcheck for container ${container.id} has no exit code`);
    return { exitCode: exec.exitCode, output: output.text() };
  } finally {
    signal.removeEventListener("abort", kill);
    socket.destroy();
  }
}

/** Resolves when the monitor has sent all. */
function collect(socket: Socket, output: ProbeOutput): Promise<void> {
  return new Promise((resolve) => {
    socket.on("data", (chunk: Buffer) => output.push(chunk));
    // Reset by a monitor that ended: the same as its end.
    socket.on("error", () => undefined);
    socket.once("end", () => socket.end());
    socket.once("close", () => resolve());
    socket.resume();
  });
}

/** With whatever it has started: a shell's `sleep` would stay otherwise, one more with every probe. */
export async function killProbe(parts: Parts, container: Container, id: string): Promise<void> {
  try {
    await container.monitor.request({ op: "kill", signal: SIGKILL, exec: id, tree: true });
  } catch (error) {
    if (error instanceof MonitorGone || (error instanceof MonitorError && error.failure.code === "ESRCH")) return;
    parts.log.warn({ container: container.id, err: errorMessage(error) }, "cannot kill a health check");
  }
}
