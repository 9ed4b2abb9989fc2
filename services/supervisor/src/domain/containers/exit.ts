import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { EventRecord } from "@berth/bus";
import { errorMessage } from "@berth/errors";
import { endGroup } from "../cgroups.ts";
import { execExited, execStarted, forgetExecs } from "../exec/progress.ts";
import { endHealth } from "../health/watch.ts";
import type { ContainerRecord } from "../model.ts";
import type { Subscription } from "../monitor/client.ts";
import type { ExitRecord, MonitorEvent } from "../monitor/protocol.ts";
import { unmountVolumes } from "../mounts/uses.ts";
import { movingProblem } from "../moves/guard.ts";
import { cgroupPath } from "../spec/bundle.ts";
import { fromNano, nowNano, toNano } from "../time.ts";
import type { Container } from "./container.ts";
import { containerEvent, networkEvent } from "./events.ts";
import type { Parts } from "./parts.ts";
import { remove } from "./remove.ts";
import { restartDelay } from "./restart-policy.ts";
import { unmountShm } from "./shm.ts";
import { launch } from "./start.ts";
import { isRunning, transit } from "./state.ts";

/** Follows the monitor from its start, or from recovery, to its end. */
export function watchMonitor(parts: Parts, container: Container): Subscription {
  let exit: ExitRecord | undefined;
  const onEvent = (event: MonitorEvent) => {
    if (event.event === "exit") {
      exit = event;
      void finish(event);
    } else onProgress(parts, container, event);
  };
  const finish = (record: ExitRecord | undefined) =>
    container.mutex
      .run(async () => {
        // A start that failed has closed its subscription; one that was replaced is not ours to finish.
        if (container.subscription !== subscription || !isRunning(container.record)) return;
        container.subscription = undefined;
        await handleExit(parts, container, record ?? (await lostExit(parts, container.record)));
      })
      .then(() => afterExit(parts, container))
      .catch((error: unknown) =>
        parts.log.error({ err: error, container: container.id }, "cannot finish a container that has exited"),
      );
  const subscription = container.monitor.subscribe(onEvent, () => {
    // The monitor was killed, and its container with it; or it said all there is to say.
    if (exit === undefined) void finish(undefined);
  });
  container.subscription = subscription;
  return subscription;
}

function onProgress(parts: Parts, container: Container, event: Exclude<MonitorEvent, { event: "exit" }>): void {
  const { record } = container;
  let done: Promise<void>;
  if (event.event === "oom") {
    done = parts.records.commitLazily({ events: [containerEvent(parts.nodeId, record, "oom")] });
  } else if (event.event === "exec-start") {
    execStarted(parts, event.exec, event.pid);
    return;
  } else {
    done = execExited(parts, container, event.exec, event.exitCode, event.failed);
  }
  done.catch((error: unknown) =>
    parts.log.error({ err: error, container: record.id }, "cannot record what a container did"),
  );
}

/** The exit as the monitor wrote it down; 137 if it could not (it was killed, which kills the container). */
export async function lostExit(parts: Parts, record: ContainerRecord): Promise<ExitRecord> {
  const written = await readExit(parts, record);
  if (written) return written;
  await endGroup(cgroupPath(record));
  const finishedAt = fromNano(nowNano());
  return { exitCode: 137, signal: 9, oomKilled: false, startedAt: record.state.startedAt, finishedAt, error: "" };
}

/** exit.json of the run that the record tells of; undefined when there is none of this run. */
export async function readExit(parts: Parts, record: ContainerRecord): Promise<ExitRecord | undefined> {
  try {
    return JSON.parse(await readFile(parts.paths.exitFile(record.id), "utf8")) as ExitRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      parts.log.warn({ err: errorMessage(error), container: record.id }, "cannot read an exit record");
    }
    return undefined;
  }
}

/** The container has ended: gives back what it had, records it, tells who waits. With the mutex held. */
export async function handleExit(parts: Parts, container: Container, exit: ExitRecord): Promise<void> {
  const { record } = container;
  await parts.networks.release(record.id);
  const events = await exitEvents(parts, container, exit);
  const delay = restartDelay({
    policy: record.spec.hostConfig.restartPolicy,
    exitCode: exit.exitCode,
    manuallyStopped: record.hasBeenManuallyStopped || record.removing || record.departure !== undefined,
    restartCount: record.restartCount,
    ranForMs: Number((toNano(exit.finishedAt) - toNano(exit.startedAt)) / 1_000_000n),
    previousDelayMs: container.restartDelayMs,
    replacing: container.replacing,
  });
  endHealth(container);
  transit(record, delay === undefined ? "exited" : "restarting", {
    pid: 0,
    monitorPid: 0,
    exitCode: exit.exitCode,
    error: exit.error,
    oomKilled: exit.oomKilled,
    finishedAt: exit.finishedAt,
  });
  record.starting = false;
  record.endpoints = record.endpoints.map((endpoint) => ({
    ...endpoint,
    endpointId: "",
    gateway: "",
    ipAddress: "",
    ipPrefixLen: 0,
    macAddress: "",
  }));
  record.ports = [];
  await endExecs(parts, container);
  const saved = parts.records.commitLazily({ put: record, events });
  // The exit is on the disk already (exit.json): nobody has to wait for our own copy of it.
  container.exited();
  if (delay !== undefined) scheduleRestart(parts, container, delay);
  await saved;
  parts.fault("exit.recorded");
  await tidy(parts, record);
}

/**
 * Execs end with their container, whatever the monitor still had to say of them; those that never began are forgotten.
 * Never throws: the container's own end counts.
 */
async function endExecs(parts: Parts, container: Container): Promise<void> {
  const open = [...container.openExecs];
  // Begun is enough: that one ran is known only of those whose start this very process has heard of.
  const lost = open.filter((id) => parts.registry.execs.get(id)?.started);
  const ended = await Promise.allSettled(lost.map((id) => execExited(parts, container, id, 137)));
  const failed = ended.find((result) => result.status === "rejected");
  if (failed) parts.log.error({ err: failed.reason, container: container.id }, "cannot record the end of an exec");
  const unused = open.filter((id) => parts.registry.execs.get(id)?.started === false);
  if (unused.length > 0) forgetExecs(parts, container, unused);
}

/** In Docker's order. Volumes are unmounted here. */
async function exitEvents(parts: Parts, container: Container, exit: ExitRecord): Promise<EventRecord[]> {
  const { record } = container;
  const seconds = (toNano(exit.finishedAt) - toNano(exit.startedAt)) / 1_000_000_000n;
  const attributes = { exitCode: String(exit.exitCode), execDuration: String(seconds < 0n ? 0n : seconds) };
  return [
    ...record.endpoints.map((endpoint) => networkEvent(parts.nodeId, "disconnect", record.id, endpoint)),
    ...(await unmountVolumes(parts, record)),
    ...[...container.stops].map((stop) => {
      stop.told = true;
      return containerEvent(parts.nodeId, record, "stop");
    }),
    containerEvent(parts.nodeId, record, "die", attributes),
  ];
}

/** Bundle and socket of a run that is over (in memory, so without a thread), and a /dev/shm that was for others, too. */
export async function tidy(parts: Parts, record: ContainerRecord): Promise<void> {
  const { id } = record;
  rmSync(parts.paths.bundle(id), { recursive: true, force: true });
  rmSync(parts.paths.socket(id), { force: true });
  await parts.runtimes.forget(record.spec.hostConfig.runtime, id, cgroupPath(record));
  await unmountShm(parts, record);
}

/** --rm, outside the mutex as removing takes it itself. */
export async function afterExit(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  if (
    !record.spec.hostConfig.autoRemove ||
    record.state.status !== "exited" ||
    container.removed ||
    container.restarts > 0 ||
    movingProblem(record) !== undefined
  )
    return;
  await remove(parts, container, { force: false, volumes: true });
}

export function scheduleRestart(parts: Parts, container: Container, delayMs: number): void {
  clearTimeout(container.restartTimer);
  container.restartDelayMs = delayMs;
  container.restartTimer = setTimeout(() => {
    container.restartTimer = undefined;
    void container.mutex
      .run(() => restartNow(parts, container))
      .catch((error: unknown) => {
        parts.log.warn({ err: errorMessage(error), container: container.id }, "cannot restart a container");
      });
  }, delayMs);
}

/** The restart itself. A failure ends the restarting, as Docker does: the next start is the user's. */
async function restartNow(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  if (record.state.status !== "restarting" || container.removed) return;
  record.restartCount++;
  try {
    await launch(parts, container);
  } catch (error) {
    transit(record, "exited");
    await parts.records.commitLazily({ put: record });
    container.exited();
    throw error;
  }
}

/** A restart that waits for its time is called off: the container has exited. With the mutex held. */
export async function cancelRestart(parts: Parts, container: Container): Promise<void> {
  clearTimeout(container.restartTimer);
  container.restartTimer = undefined;
  transit(container.record, "exited");
  container.exited();
  await parts.records.commitLazily({ put: container.record });
}
