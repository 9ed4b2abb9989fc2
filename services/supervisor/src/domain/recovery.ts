import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import { Container } from "./containers/container.ts";
import { containerEvent, networkEvent } from "./containers/events.ts";
import { afterExit, handleExit, lostExit, readExit, scheduleRestart, tidy, watchMonitor } from "./containers/exit.ts";
import type { Parts } from "./containers/parts.ts";
import { endCommitPause } from "./containers/pause.ts";
import { startsAtBoot } from "./containers/restart-policy.ts";
import { start } from "./containers/start.ts";
import { isRunning, transit } from "./containers/state.ts";
import { execExited, execStarted } from "./exec/progress.ts";
import { killProbe } from "./health/probe.ts";
import { resumeHealth } from "./health/watch.ts";
import { resumeShipping } from "./logs/ship/shipping.ts";
import type { ContainerRecord, Endpoint, ExecRecord, PublishedPort } from "./model.ts";
import { MonitorError, MonitorGone } from "./monitor/client.ts";
import type { ExitRecord, MonitorState } from "./monitor/protocol.ts";
import { adoptVolumes, unmountVolumes } from "./mounts/uses.ts";
import { movingProblem } from "./moves/guard.ts";
import { recoverMoves, resumeMoves } from "./moves/recover.ts";
import { sweep } from "./sweep.ts";
import { nowNano, toNano } from "./time.ts";

const bootKey = "boot-id";
/** Of the default bridge, while there is one. */
export const bridgeSubnetKey = "bridge.subnet";

/**
 * At start: every record is held against what there is. A monitor that answers is followed again; an exit written down while
 * we were away is recorded with its true code and time; a container that vanished with its monitor has exited with 137. Then
 * what no record names is swept, and after a boot of the host the restart policies are obeyed.
 */
export async function recover(parts: Parts, signal: AbortSignal): Promise<void> {
  const { containers, execs, volumes, imports, shipped } = await parts.records.load();
  const booted = await isNewBoot(parts);
  for (const record of containers) parts.registry.add(new Container(record, parts.paths.socket(record.id)));
  parts.volumes.load(volumes, usesOf(containers));
  const coming = await recoverMoves(parts, imports);
  const probes = adoptExecs(parts, execs);
  for (const [id, position] of shipped) parts.registry.shipped.set(id, position);
  parts.networks.bridge.useSubnet((await parts.records.getMeta(bridgeSubnetKey)) ?? "");
  const found = await Promise.all(parts.registry.all().map((container) => look(parts, container)));
  // Before anything is started: addresses and ports of running containers must not be given to others.
  await parts.networks.bridge.adopt(
    found.filter(({ state }) => state !== undefined).map(({ container }) => container.record),
  );
  const ended: Container[] = [];
  for (const { container, state, exit } of found) {
    if (state) await takeUp(parts, container, state);
    else if (await settle(parts, container, exit)) ended.push(container);
  }
  for (const { container, state } of found) if (state) await recheck(parts, container, probes);
  // What was frozen for a commit that died with its supervisor runs on.
  for (const { container, state } of found) if (state) await endCommitPause(parts, container);
  const { local } = parts.volumes.parts.drivers;
  await local.settle(parts.volumes.records().flatMap(({ name, driver }) => (driver === local.name ? [name] : [])));
  await sweep(parts, signal);
  await startAgain(parts, booted, ended);
  resumeMoves(parts, coming);
  resumeShipping(parts);
  // --rm: also of those whose exit was recorded just before we died.
  for (const container of parts.registry.all()) {
    if (container.record.hasBeenStartedBefore) await afterExit(parts, container).catch(untidied(parts, container));
  }
}

/** One container that can't be removed must not keep all others waiting. */
const untidied =
  (parts: Parts, { id }: Container) =>
  (error: unknown) =>
    parts.log.warn({ container: id, err: errorMessage(error) }, "cannot remove a container of --rm");

/** Every container uses its volumes, whether it runs or not. */
const usesOf = (containers: readonly ContainerRecord[]) =>
  containers.flatMap(({ id, mounts }) =>
    mounts.filter(({ type }) => type === "volume").map(({ name }) => [name, id] as const),
  );

async function isNewBoot(parts: Parts): Promise<boolean> {
  const { bootId } = parts.facts;
  if ((await parts.records.getMeta(bootKey)) === bootId) return false;
  await parts.records.setMeta(bootKey, bootId);
  return true;
}

/**
 * Health checks that were under way nobody waits for any more: they are given back, to be killed. Records of them go, and of
 * execs whose container has gone.
 */
function adoptExecs(parts: Parts, execs: readonly ExecRecord[]): ExecRecord[] {
  const probes = execs.filter(({ probe }) => probe);
  const stale = execs.filter(({ probe, containerId }) => probe || parts.registry.get(containerId) === undefined);
  if (stale.length > 0) parts.records.commitSoon({ delExecs: stale.map(({ id }) => id) });
  for (const exec of execs) {
    const container = parts.registry.get(exec.containerId);
    if (!container || exec.probe) continue;
    container.execs.add(exec.id);
    if (exec.exitCode === null) container.openExecs.add(exec.id);
    parts.registry.execs.set(exec.id, exec);
  }
  return probes;
}

/** Probes go on where they were: the time to the next one counts from the end of the last. */
async function recheck(parts: Parts, container: Container, probes: readonly ExecRecord[]): Promise<void> {
  const { state } = container.record;
  if (state.status !== "running") return;
  await Promise.all(
    probes.filter(({ containerId }) => containerId === container.id).map(({ id }) => killProbe(parts, container, id)),
  );
  const last = state.health?.log.at(-1)?.end ?? state.startedAt;
  resumeHealth(parts, container, Math.max(0, Number(nowNano() - toNano(last)) / 1_000_000));
}

interface Found {
  container: Container;
  /** A monitor answers. */
  state: MonitorState | undefined;
  exit: ExitRecord | undefined;
}

/** A host that is short of everything is slow to answer, and a container whose monitor is taken for dead is killed. */
const askTimeoutMs = 30_000;

async function look(parts: Parts, container: Container): Promise<Found> {
  const { record } = container;
  const mayRun = isRunning(record) || record.starting || record.state.status === "restarting";
  if (!mayRun) return { container, state: undefined, exit: undefined };
  const state = await container.monitor.request<MonitorState>({ op: "state" }, askTimeoutMs).catch((error: unknown) => {
    if (error instanceof MonitorGone || error instanceof MonitorError) return undefined;
    parts.log.warn({ container: record.id, err: errorMessage(error) }, "a monitor does not answer");
    return undefined;
  });
  if (state && state.status !== "stopped") await readPlace(parts, record);
  return {
    container,
    state: state?.status === "stopped" ? undefined : state,
    exit: state ? undefined : await readExit(parts, record),
  };
}

/** Where the network put the container, if we died before its record said so. */
async function readPlace(parts: Parts, record: ContainerRecord): Promise<void> {
  if (!record.starting) return;
  const text = await readFile(join(parts.paths.bundle(record.id), "monitor.json"), "utf8").catch(() => "");
  if (text === "") return;
  const { place } = JSON.parse(text) as { place: { endpoints: Endpoint[]; ports: PublishedPort[] } };
  record.endpoints = place.endpoints;
  record.ports = place.ports;
}

/** A container that runs: follow it, and tell of a start or pause that we did not live to record. */
async function takeUp(parts: Parts, container: Container, state: MonitorState): Promise<void> {
  const { record } = container;
  adoptVolumes(parts, record);
  const events = [];
  if (record.starting || !isRunning(record)) {
    transit(record, "running", {
      pid: state.pid,
      monitorPid: state.monitorPid ?? 0,
      startedAt: state.startedAt,
      exitCode: 0,
      error: "",
      oomKilled: false,
    });
    record.hasBeenStartedBefore = true;
    for (const endpoint of record.endpoints) events.push(networkEvent(parts.nodeId, "connect", record.id, endpoint));
    events.push(containerEvent(parts.nodeId, record, "start"));
  }
  record.starting = false;
  const paused = state.status === "paused";
  if (paused !== (record.state.status === "paused")) {
    transit(record, paused ? "paused" : "running");
    events.push(containerEvent(parts.nodeId, record, paused ? "pause" : "unpause"));
  }
  await parts.records.commitLazily({ put: record, events });
  const { state: latest } = watchMonitor(parts, container);
  // What ended between the two answers is in the second alone; a monitor that has gone in between has said its last.
  await reconcileExecs(parts, container, await latest.catch(() => state));
}

/** Execs that began or ended while nobody listened. The monitor remembers many; a code that it has forgotten is taken for 137. */
async function reconcileExecs(parts: Parts, container: Container, state: MonitorState): Promise<void> {
  const running = new Map(state.execs.map(({ id, pid }) => [id, pid]));
  const ended = new Map((state.exits ?? []).map((end) => [end.id, end]));
  for (const id of container.openExecs) {
    const exec = parts.registry.execs.get(id);
    if (!exec || exec.exitCode !== null) continue;
    const pid = running.get(id);
    const end = ended.get(id) ?? (exec.started ? { exitCode: 137, failed: undefined } : undefined);
    if (pid !== undefined) execStarted(parts, id, pid);
    else if (end !== undefined) await execExited(parts, container, id, end.exitCode, end.failed);
  }
}

/** A container that does not run. True when it has exited just now, as far as the record goes. */
async function settle(parts: Parts, container: Container, exit: ExitRecord | undefined): Promise<boolean> {
  const { record } = container;
  const ran =
    isRunning(record) ||
    (record.starting && exit !== undefined && exit.startedAt !== "" && exit.startedAt !== record.state.startedAt);
  if (!ran) {
    if (record.state.status === "restarting" && record.departure === undefined) scheduleRestart(parts, container, 100);
    else if (record.starting) {
      record.starting = false;
      await parts.records.commitLazily({ put: record, events: await unmountVolumes(parts, record) });
      await tidy(parts, record);
    }
    return false;
  }
  if (record.starting && exit) {
    // It started and ended between two of our writes.
    transit(record, "running", { startedAt: exit.startedAt });
    record.hasBeenStartedBefore = true;
    await parts.records.commitLazily({ put: record, events: [containerEvent(parts.nodeId, record, "start")] });
  }
  adoptVolumes(parts, record);
  await container.mutex.run(async () => handleExit(parts, container, exit ?? (await lostExit(parts, record))));
  return true;
}

/** After a boot of the host, or of the engine with containers that went while it was away: restart policies. */
async function startAgain(parts: Parts, booted: boolean, ended: readonly Container[]): Promise<void> {
  if (!booted) return;
  for (const container of parts.registry.all()) {
    const { record } = container;
    const { restartPolicy } = record.spec.hostConfig;
    const due = startsAtBoot(restartPolicy, record.hasBeenManuallyStopped, ended.includes(container));
    if (!due || movingProblem(record) || !record.hasBeenStartedBefore || record.state.status !== "exited") continue;
    await start(parts, container).catch((error: unknown) => {
      parts.log.warn({ container: record.id, err: errorMessage(error) }, "cannot start a container after a boot");
    });
  }
}
