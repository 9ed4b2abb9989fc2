import { BerthError, isBerthError } from "@berth/errors";
import { notRunning } from "../errors.ts";
import { MonitorError, MonitorGone } from "../monitor/client.ts";
import { parseSendableSignal, parseSignal, SIGKILL, SIGTERM } from "../validate/signals.ts";
import { within } from "../within.ts";
import type { Container, WaitCondition, WaitResult } from "./container.ts";
import { containerEvent } from "./events.ts";
import { cancelRestart } from "./exit.ts";
import type { Parts } from "./parts.ts";
import { start } from "./start.ts";
import { isActive, isRunning } from "./state.ts";

/** seconds; Docker's. */
export const defaultStopTimeout = 10;
const maxSignal = 64;
/** After SIGKILL: a process in uninterruptible sleep may take longer than this, and then the caller is told. */
export const killTimeoutMs = 10_000;

export interface StopOptions {
  /** seconds; undefined: the container's own; negative: wait for ever. */
  timeout?: number | undefined;
  /** Empty: the container's own. */
  signal: string;
  /** What the caller named the container by: Docker's messages repeat it. */
  reference: string;
}

const stopPrefix = ({ reference }: StopOptions): string => `cannot stop container: ${reference}: `;

/** `docker stop`, to its end also when the caller goes away meanwhile (as Docker). Throws NOT_MODIFIED when it does not run. */
export async function stop(parts: Parts, container: Container, options: StopOptions): Promise<void> {
  await settled(container);
  if (!isActive(container.record)) throw new BerthError("NOT_MODIFIED", `container ${container.id} is already stopped`);
  await stopRunning(parts, container, options);
}

/** `docker restart`: stop if it runs, then start; whole, like stop(). */
export async function restart(parts: Parts, container: Container, options: StopOptions): Promise<void> {
  // --rm is for the end of a container, which this is not.
  container.restarts++;
  try {
    await settled(container);
    if (isActive(container.record)) await stopRunning(parts, container, options);
    await start(parts, container).catch((error: unknown) => {
      // Somebody else was quicker: it runs again, which is what was wanted.
      if (!isBerthError(error) || error.reason !== "NOT_MODIFIED") throw error;
    });
  } catch (error) {
    if (!isBerthError(error) || error.reason !== "INTERNAL") throw error;
    const message = `Cannot restart container ${options.reference}: ${error.message.replace(stopPrefix(options), "")}`;
    throw new BerthError(error.reason, message, error.details, { cause: error });
  } finally {
    container.restarts--;
  }
  await parts.records.commitLazily({ events: [containerEvent(parts.nodeId, container.record, "restart")] });
}

/** A start under way comes first: what it makes is to be stopped too. */
async function settled({ mutex }: Container): Promise<void> {
  if (mutex.busy) await mutex.run(() => {});
}

/** Gives `work` an end of the container to wait for; nothing waits for it any more when `work` is done. */
export async function withEnd<T>(
  container: Container,
  condition: WaitCondition,
  work: (ended: Promise<WaitResult>) => Promise<T>,
): Promise<T> {
  const leave = new AbortController();
  const ended = container.wait(condition, leave.signal);
  ended.catch(() => undefined);
  try {
    return await work(ended);
  } finally {
    leave.abort();
  }
}

async function stopRunning(parts: Parts, container: Container, options: StopOptions): Promise<void> {
  const { config } = container.record.spec;
  const first = parseStopSignal(options, config.stopSignal);
  const seconds = options.timeout ?? config.stopTimeout ?? defaultStopTimeout;
  const stop = { told: false };
  container.stops.add(stop);
  try {
    await withEnd(container, "not-running", async (ended) => {
      // One that Linux does not have cannot be sent.
      if (!(await sendStop(parts, container, first > maxSignal ? SIGKILL : first))) return;
      if (await within(ended, seconds < 0 ? Number.POSITIVE_INFINITY : seconds * 1000)) return;
      await sendStop(parts, container, SIGKILL);
      if (await within(ended, killTimeoutMs)) return;
      const why = "tried to kill container, but did not receive an exit event";
      throw new BerthError("INTERNAL", stopPrefix(options) + why);
    });
  } finally {
    container.stops.delete(stop);
  }
  // One that waited to be started again has no exit that would have told it.
  if (!stop.told)
    await parts.records.commitLazily({ events: [containerEvent(parts.nodeId, container.record, "stop")] });
}

function parseStopSignal(options: StopOptions, own: string): number {
  const text = options.signal || own;
  if (text === "") return SIGTERM;
  try {
    return parseSignal(text);
  } catch (error) {
    throw new BerthError("INTERNAL", stopPrefix(options) + (error as Error).message);
  }
}

/** Sends a signal that is meant to end the container. False when it has ended already. */
async function sendStop(parts: Parts, container: Container, number: number): Promise<boolean> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (record.state.status === "restarting") {
      record.hasBeenManuallyStopped = true;
      await cancelRestart(parts, container);
      return false;
    }
    if (!isRunning(record)) return false;
    await signalContainer(parts, container, number, true);
    return true;
  });
}

/** Kills and waits for the end, also of what is just being started; nothing to do when it does not run. */
export async function endContainer(parts: Parts, container: Container, number: number): Promise<void> {
  await settled(container);
  if (!isActive(container.record)) return;
  await withEnd(container, "not-running", async (ended) => {
    if (!(await sendStop(parts, container, number)) || (await within(ended, killTimeoutMs))) return;
    const why = "tried to kill container, but did not receive an exit event";
    throw new BerthError("INTERNAL", `could not kill container ${container.id}: ${why}`);
  });
}

/** `docker kill`. Throws INVALID_ARGUMENT, CONTAINER_NOT_RUNNING. */
export async function kill(parts: Parts, container: Container, signalText: string, reference: string): Promise<void> {
  const prefix = `cannot kill container: ${reference}: `;
  let number: number;
  try {
    number = signalText === "" ? SIGKILL : parseSendableSignal(signalText);
  } catch (error) {
    throw new BerthError("INVALID_ARGUMENT", prefix + (error as Error).message);
  }
  if (number !== SIGKILL) return sendKill(parts, container, number, prefix);
  await withEnd(container, "next-exit", async (ended) => {
    await sendKill(parts, container, number, prefix);
    // As Docker: after SIGKILL the container is down when the call returns.
    await within(ended, killTimeoutMs);
  });
}

function sendKill(parts: Parts, container: Container, number: number, prefix: string): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (record.state.status === "restarting") {
      record.hasBeenManuallyStopped = true;
      return cancelRestart(parts, container);
    }
    if (!isRunning(record)) throw new BerthError("CONTAINER_NOT_RUNNING", prefix + notRunning(record.id).message);
    // A signal that is not the container's way to stop is a message to it, not an end of its restarts.
    const { stopSignal } = record.spec.config;
    const ends = stopSignal === "" || number === SIGKILL || parseSignal(stopSignal) === number;
    await signalContainer(parts, container, number, ends);
  });
}

/** With the mutex held. A process that has just gone is no error: its exit is on the way. */
export async function signalContainer(
  parts: Parts,
  container: Container,
  number: number,
  ends: boolean,
): Promise<void> {
  const { record } = container;
  if (ends) record.hasBeenManuallyStopped = true;
  const events = [containerEvent(parts.nodeId, record, "kill", { signal: String(number) })];
  try {
    await container.monitor.request({ op: "kill", signal: number });
    // A frozen process takes no signal but SIGKILL, and on cgroup v1 not even that.
    if (ends && record.state.status === "paused") {
      await thaw(container);
      if (number !== SIGKILL) events.push(containerEvent(parts.nodeId, record, "unpause"));
    }
  } catch (error) {
    if (error instanceof MonitorGone || (error instanceof MonitorError && error.failure.code === "ESRCH")) return;
    throw new BerthError(
      "INTERNAL",
      `cannot kill container: ${record.name}: ${(error as Error).message}`,
      {},
      { cause: error },
    );
  }
  await parts.records.commitLazily({ put: record, events });
}

/** The monitor thaws by itself for some signals: then there is nothing to resume. */
async function thaw(container: Container): Promise<void> {
  await container.monitor.request({ op: "resume" }).catch((error: unknown) => {
    if (!(error instanceof MonitorError)) throw error;
  });
  container.record.state.status = "running";
}
