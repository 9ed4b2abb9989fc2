import { closeSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { conflict } from "../errors.ts";
import { startHealth } from "../health/watch.ts";
import { beginShipping } from "../logs/ship/shipping.ts";
import type { ContainerRecord, Endpoint, PublishedPort } from "../model.ts";
import { MonitorGone } from "../monitor/client.ts";
import type { StartReport } from "../monitor/protocol.ts";
import { checkRecursion } from "../mounts/requests.ts";
import { makeSources, settlePropagation } from "../mounts/sources.ts";
import { mountVolumes, unmountVolumes } from "../mounts/uses.ts";
import { refuseMoving } from "../moves/guard.ts";
import type { Reservation } from "../network/networks.ts";
import type { RuntimePlace } from "../runtimes.ts";
import { bundleOf } from "../spec/bundle.ts";
import { type CdiEdits, injectEdits, requestedDevices } from "../spec/cdi.ts";
import { checkStart } from "../validate/start.ts";
import type { Container } from "./container.ts";
import { etcFiles, updateLinking, writeEtcFiles } from "./etc-files.ts";
import { containerEvent, networkEvent } from "./events.ts";
import { tidy, watchMonitor } from "./exit.ts";
import { type Joined, joinedContainers } from "./joined.ts";
import { type Linked, linkedOf } from "./links.ts";
import type { Parts } from "./parts.ts";
import { remove } from "./remove.ts";
import { mountShm } from "./shm.ts";
import { startFailure } from "./start-failure.ts";
import { isRunning, transit } from "./state.ts";

/** Starts a container that does not run. Throws NOT_MODIFIED, CONFLICT, START_FAILED (with Docker's text). */
export async function start(parts: Parts, container: Container): Promise<void> {
  let launching = false;
  try {
    await container.mutex.run(async () => {
      const { record } = container;
      if (record.state.status === "paused") throw conflict("cannot start a paused container, try unpause instead");
      if (isRunning(record) || record.state.status === "restarting") {
        throw new BerthError("NOT_MODIFIED", `container ${record.id} is already running`);
      }
      if (container.removed || record.removing) {
        throw conflict("container is marked for removal and cannot be started");
      }
      refuseMoving(record);
      record.hasBeenManuallyStopped = false;
      record.restartCount = 0;
      container.restartDelayMs = 0;
      launching = true;
      await launch(parts, container);
    });
  } catch (error) {
    // --rm holds for one that could not be started too: who waits for its removal would wait for ever.
    if (launching && container.record.spec.hostConfig.autoRemove) await removeUnstarted(parts, container);
    throw error;
  }
}

/** Never throws: why it could not be started is what the caller wants to know. */
async function removeUnstarted(parts: Parts, container: Container): Promise<void> {
  await remove(parts, container, { force: true, volumes: true }).catch((error: unknown) => {
    if (container.removed) return;
    parts.log.warn({ container: container.id, err: errorMessage(error) }, "cannot remove a container of --rm");
  });
}

/** Opens the container's socket if it is not: from now on an attach waits there for the monitor. */
export async function ensureListener(parts: Parts, container: Container): Promise<void> {
  container.listener ??= await parts.launcher.listen(parts.paths.socket(container.id));
}

export async function closeListener(parts: Parts, container: Container): Promise<void> {
  if (container.listener === undefined) return;
  parts.launcher.close(container.listener);
  container.listener = undefined;
  await rm(parts.paths.socket(container.id), { force: true });
}

/** The start itself, with the mutex held. On failure everything is given back and the failure recorded. */
export async function launch(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  await container.writers.idle();
  record.starting = true;
  let namespace: number | null = null;
  let endpoint: Endpoint | undefined;
  let mounted = false;
  try {
    checkStart(record.spec);
    const runtime = await parts.runtimes.find(record.spec.hostConfig.runtime, true);
    const joined = joinedContainers(parts, record);
    if (joined.etcFilesOf !== null) record.etcFilesOf = joined.etcFilesOf;
    const linked = linkedOf(parts, record);
    const devices = await requestedDevices(record.spec.hostConfig.resources.deviceRequests ?? [], parts.cdiDirs);
    await beginShipping(parts, container);
    const reservation = await parts.networks.reserve(record);
    endpoint = reservation.endpoint;
    // What a power cut must not take back (the restart policy asks for it) goes to the disk while the rest is made.
    const [connected, files, listening, recorded] = await Promise.allSettled([
      reservation.connect(),
      prepareFiles(parts, record, reservation, linked),
      ensureListener(parts, container),
      parts.records.commit({ put: record }),
    ]);
    if (connected.status === "fulfilled") namespace = connected.value.namespace;
    const failed = [connected, files, listening, recorded].find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const network = { endpoint, ...value(connected) };
    const volumes = await mountVolumes(parts, record);
    mounted = true;
    const shm = joined.shm ?? (await mountShm(parts, record));
    const propagation = await settlePropagation(record.mounts, parts.paths.stateDir);
    await writeBundle(parts, record, {
      network,
      joined: { ...joined, shm },
      linked,
      devices,
      volumes,
      propagation,
      runtime,
    });
    parts.fault("start.prepared");
    const report = await runMonitor(parts, container);
    parts.fault("start.running");
    if (report.event === "failed") throw startFailure(record, report);
    recordStart(parts, container, report, endpoint, value(connected).ports);
    await updateLinking(parts, container);
  } catch (error) {
    await recordFailure(parts, container, error, { endpoint, mounted });
    throw error;
  } finally {
    // The container's first process holds the namespace now, or nobody does and the kernel takes it back.
    if (namespace !== null) closeSync(namespace);
  }
}

function value<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

/** Forgets the last run's exit, makes sources of -v that are missing, and writes the files of /etc. */
async function prepareFiles(
  parts: Parts,
  record: ContainerRecord,
  reservation: Reservation,
  linked: Linked,
): Promise<void> {
  checkRecursion(record.spec.hostConfig.mounts);
  await Promise.all([
    unlink(parts.paths.exitFile(record.id)).catch(ignoreMissing),
    makeSources(record.mounts),
    writeEtcFiles(parts, record, reservation, linked),
  ]);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

interface BundleParts {
  network: { namespace: number | null; endpoint: Endpoint | undefined; ports: PublishedPort[] };
  joined: Joined;
  linked: Linked;
  devices: CdiEdits;
  /** Directories of volumes, by destination. */
  volumes: ReadonlyMap<string, string>;
  /** Of binds whose source allows no other than what was asked for. */
  propagation: ReadonlyMap<string, string>;
  runtime: RuntimePlace | null;
}

/**
 * config.json and monitor.json. RUN_DIR is memory (tmpfs): a few small writes there take less time
 * than one way to a thread and back.
 */
async function writeBundle(
  parts: Parts,
  record: ContainerRecord,
  { network, joined, linked, devices, volumes, propagation, runtime }: BundleParts,
): Promise<void> {
  const { id } = record;
  const directory = parts.paths.bundle(id);
  const own = network.namespace === null ? null : `/proc/${process.pid}/fd/${network.namespace}`;
  const bundle = await bundleOf(record, {
    facts: parts.facts,
    namespaces: { network: own ?? joined.network, ipc: joined.ipc, shm: joined.shm, pid: joined.pid },
    volumes,
    propagation,
    runtime,
    files: etcFiles(parts.paths, record),
    linkEnv: linked.env,
    initProgram: parts.initProgram,
    exitFile: parts.paths.exitFile(id),
    logPaths: { json: parts.paths.log(id), compact: parts.paths.compactLog(id) },
    place: { endpoints: network.endpoint ? [network.endpoint] : [], ports: network.ports },
  });
  await injectEdits(bundle.config, devices);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "rootfs"), { recursive: true, mode: 0o711 });
  for (const { at } of bundle.monitor.stagedMounts) mkdirSync(join(directory, at), { mode: 0o700 });
  const write = (name: string, content: string) => writeFileSync(join(directory, name), content, { mode: 0o600 });
  write("config.json", JSON.stringify(bundle.config));
  write("monitor.json", JSON.stringify(bundle.monitor));
}

/** Subscribes first (the socket is there), so that not even a container that ends at once is missed. */
async function runMonitor(parts: Parts, container: Container): Promise<StartReport> {
  const { listener, id } = container;
  if (listener === undefined) throw new BerthError("INTERNAL", `container ${id} has no socket`);
  watchMonitor(parts, container);
  const report = await parts.launcher.start(parts.paths.bundle(id), listener);
  // The monitor has its own now.
  parts.launcher.close(listener);
  container.listener = undefined;
  return report;
}

/** Nobody waits for the disk: `starting` is there already, and recovery asks the monitor for the rest. */
function recordStart(
  parts: Parts,
  container: Container,
  report: Extract<StartReport, { event: "started" }>,
  endpoint: Endpoint | undefined,
  ports: PublishedPort[],
): void {
  const { record } = container;
  transit(record, "running", {
    pid: report.pid,
    monitorPid: report.monitorPid,
    startedAt: report.startedAt,
    exitCode: 0,
    error: "",
    oomKilled: false,
  });
  record.starting = false;
  record.hasBeenStartedBefore = true;
  record.endpoints = endpoint ? [endpoint] : [];
  record.ports = ports;
  startHealth(parts, container);
  const connect = endpoint ? [networkEvent(parts.nodeId, "connect", record.id, endpoint)] : [];
  parts.records.commitSoon({
    put: record,
    events: [...connect, containerEvent(parts.nodeId, record, "start")],
  });
}

/** Docker's order: the container stays what it was, with the failure's exit code and text. */
async function recordFailure(
  parts: Parts,
  container: Container,
  error: unknown,
  { endpoint, mounted }: { endpoint: Endpoint | undefined; mounted: boolean },
): Promise<void> {
  const { record, id } = container;
  container.subscription?.close();
  container.subscription = undefined;
  await closeListener(parts, container).catch((cause: unknown) =>
    parts.log.warn({ err: cause, container: id }, "cannot close a socket"),
  );
  await parts.networks.release(id);
  // Docker tells of the end of a place in a network whose begin it has not told of.
  const events = endpoint ? [networkEvent(parts.nodeId, "disconnect", id, endpoint)] : [];
  if (mounted) events.push(...(await unmountVolumes(parts, record)));
  await tidy(parts, record);
  const exitCode = isBerthError(error) ? Number(error.details.exitCode ?? 128) : 128;
  Object.assign(record.state, { exitCode, error: errorMessage(error), pid: 0, monitorPid: 0 });
  record.starting = false;
  container.changed();
  await parts.records.commitLazily({ put: record, events });
  if (error instanceof MonitorGone)
    parts.log.warn({ container: id }, "the monitor went away while the container started");
}
