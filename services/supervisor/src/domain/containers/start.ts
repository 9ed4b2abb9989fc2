import { closeSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { conflict } from "../errors.ts";
import type { ContainerRecord, Endpoint, PublishedPort } from "../model.ts";
import { MonitorGone } from "../monitor/client.ts";
import type { StartReport } from "../monitor/protocol.ts";
import { hostHostsText, hostsText, resolvConfText } from "../network/files.ts";
import type { Reservation } from "../network/networks.ts";
import { bundleOf } from "../spec/bundle.ts";
import { parseMounts } from "../spec/mountpoints.ts";
import type { NetworkFiles } from "../spec/mounts.ts";
import { containerOf } from "../validate/modes.ts";
import type { Container } from "./container.ts";
import { containerEvent, networkEvent } from "./events.ts";
import { watchMonitor } from "./exit.ts";
import type { Parts } from "./parts.ts";
import { startFailure } from "./start-failure.ts";
import { isRunning, transit } from "./state.ts";

/** Starts a container that does not run. Throws NOT_MODIFIED, CONFLICT, START_FAILED (with Docker's text). */
export function start(parts: Parts, container: Container): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (record.state.status === "paused") throw conflict("cannot start a paused container, try unpause instead");
    if (isRunning(record) || record.state.status === "restarting") {
      throw new BerthError("NOT_MODIFIED", `container ${record.id} is already running`);
    }
    if (container.removed || record.removing) throw conflict("container is marked for removal and cannot be started");
    record.hasBeenManuallyStopped = false;
    record.restartCount = 0;
    container.restartDelayMs = 0;
    await launch(parts, container);
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
  record.starting = true;
  let namespace: number | null = null;
  try {
    const joined = joinedContainers(parts, record);
    const reservation = await parts.networks.reserve(record);
    // What a power cut must not take back (the restart policy asks for it) goes to the disk while the rest is made.
    const [connected, files, listening] = await Promise.allSettled([
      reservation.connect(),
      prepareFiles(parts, record, reservation, joined.network),
      ensureListener(parts, container),
      parts.records.commit({ put: record }),
    ]);
    if (connected.status === "fulfilled") namespace = connected.value.namespace;
    const failed = [connected, files, listening].find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const network = { ...reservation, ...value(connected), joined: joined.network };
    await writeBundle(parts, record, { network, joined, files: value(files) });
    parts.fault("start.prepared");
    const report = await runMonitor(parts, container);
    parts.fault("start.running");
    if (report.event === "failed") throw startFailure(record, report);
    await recordStart(parts, container, report, reservation.endpoint, value(connected).ports);
  } catch (error) {
    await recordFailure(parts, container, error);
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

interface Joined {
  network: string | null;
  ipc: string | null;
  pid: string | null;
}

/** Namespaces of other containers, by their first process. Throws CONFLICT when one does not run. */
function joinedContainers(parts: Parts, { spec }: ContainerRecord): Joined {
  const { networkMode, ipcMode, pidMode } = spec.hostConfig;
  const path = (mode: string, type: string, what: string): string | null => {
    const id = containerOf(mode);
    if (id === undefined) return null;
    const target = parts.registry.get(id);
    if (!target) throw new BerthError("INTERNAL", `joining ${what} namespace of container: No such container: ${id}`);
    if (!isRunning(target.record)) throw conflict(`cannot join ${what} namespace of a non running container: ${id}`);
    return `/proc/${target.record.state.pid}/ns/${type}`;
  };
  return { network: path(networkMode, "net", "network"), ipc: path(ipcMode, "ipc", "IPC"), pid: path(pidMode, "pid", "PID") };
}

/** /etc/hosts, hostname and resolv.conf; directories of the bundle; sources of -v that are missing. */
async function prepareFiles(parts: Parts, record: ContainerRecord, reservation: Reservation, joined: string | null): Promise<NetworkFiles> {
  const { id, spec } = record;
  const directory = parts.paths.container(id);
  const made = [mkdir(join(parts.paths.bundle(id), "rootfs"), { recursive: true, mode: 0o700 }), makeBindSources(spec.hostConfig)];
  const exit = rm(parts.paths.exitFile(id), { force: true });
  if (joined !== null) {
    await Promise.all([...made, exit]);
    const other = parts.paths.container(containerOf(spec.hostConfig.networkMode) ?? "");
    return { resolvConf: join(other, "resolv.conf"), hostname: join(other, "hostname"), hosts: join(other, "hosts") };
  }
  const files = { resolvConf: join(directory, "resolv.conf"), hostname: join(directory, "hostname"), hosts: join(directory, "hosts") };
  const { endpoint, own } = reservation;
  const hosts = own ? hostsText(spec, endpoint?.ipAddress ?? "", endpoint?.gateway ?? "") : await hostHostsText(spec);
  await Promise.all([
    ...made,
    exit,
    writeFile(files.hosts, hosts, { mode: 0o644 }),
    writeFile(files.hostname, `${spec.config.hostname}\n`, { mode: 0o644 }),
    resolvConfText(spec, own).then((text) => writeFile(files.resolvConf, text, { mode: 0o644 })),
  ]);
  return files;
}

async function makeBindSources(host: ContainerRecord["spec"]["hostConfig"]): Promise<void> {
  for (const mount of parseMounts(host, [])) {
    if (mount.kind === "bind" && mount.createSource) await mkdir(mount.source, { recursive: true }).catch(ignoreExisting);
  }
}

/** A file is a good source too. */
function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST" && error.code !== "ENOTDIR") throw error;
}

interface BundleParts {
  network: { namespace: number | null; endpoint: Endpoint | undefined; ports: PublishedPort[]; joined: string | null };
  joined: Joined;
  files: NetworkFiles;
}

/** config.json, monitor.json, and network.json: what recovery needs of a container that ran before its record said so. */
async function writeBundle(parts: Parts, record: ContainerRecord, { network, joined, files }: BundleParts): Promise<void> {
  const { id, spec } = record;
  const own = network.namespace === null ? null : `/proc/${process.pid}/fd/${network.namespace}`;
  const volumes = new Map(record.mounts.filter((mount) => mount.type === "volume").map((mount) => [mount.destination, mount.source]));
  const bundle = await bundleOf(record, {
    facts: parts.facts,
    namespaces: { network: own ?? network.joined, ipc: joined.ipc, pid: joined.pid },
    mounts: parseMounts(spec.hostConfig, spec.config.volumes),
    volumes,
    files,
    exitFile: parts.paths.exitFile(id),
    logPath: parts.paths.log(id),
  });
  const directory = parts.paths.bundle(id);
  const write = (name: string, content: unknown) => writeFile(join(directory, name), JSON.stringify(content), { mode: 0o600 });
  const place = { endpoints: network.endpoint ? [network.endpoint] : [], ports: network.ports };
  await Promise.all([write("config.json", bundle.config), write("monitor.json", bundle.monitor), write("network.json", place)]);
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

async function recordStart(
  parts: Parts,
  container: Container,
  report: Extract<StartReport, { event: "started" }>,
  endpoint: Endpoint | undefined,
  ports: PublishedPort[],
): Promise<void> {
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
  const connect = endpoint ? [networkEvent(parts.nodeId, "connect", record.id, endpoint)] : [];
  await parts.records.commitLazily({ put: record, events: [...connect, containerEvent(parts.nodeId, record, "start")] });
}

/** Docker's order: the container stays what it was, with the failure's exit code and text. */
async function recordFailure(parts: Parts, container: Container, error: unknown): Promise<void> {
  const { record, id } = container;
  container.subscription?.close();
  container.subscription = undefined;
  await closeListener(parts, container).catch((cause: unknown) => parts.log.warn({ err: cause, container: id }, "cannot close a socket"));
  await parts.networks.release(id);
  await rm(parts.paths.bundle(id), { recursive: true, force: true }).catch(() => undefined);
  const exitCode = isBerthError(error) ? Number(error.details.exitCode ?? 128) : 128;
  Object.assign(record.state, { exitCode, error: errorMessage(error), pid: 0, monitorPid: 0 });
  record.starting = false;
  await parts.records.commitLazily({ put: record });
  if (error instanceof MonitorGone) parts.log.warn({ container: id }, "the monitor went away while the container started");
}
