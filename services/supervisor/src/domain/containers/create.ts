import { writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerFacts } from "@berth/bus";
import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { invalid } from "../errors.ts";
import { markerFile } from "../files/view.ts";
import { makeWorkdir } from "../files/workdir.ts";
import { newId, randomName } from "../ids.ts";
import type { ContainerRecord, ContainerSpec, MountPoint } from "../model.ts";
import { fillVolumes } from "../mounts/fill.ts";
import { makePoints, releasePoints } from "../mounts/points.ts";
import { checkSources } from "../mounts/sources.ts";
import { applyDefaults } from "../spec/defaults.ts";
import { now } from "../time.ts";
import { containerOf } from "../validate/modes.ts";
import { checkName } from "../validate/names.ts";
import { checkSpec } from "../validate/spec.ts";
import { factsOf } from "./about.ts";
import { Container } from "./container.ts";
import { containerEvent } from "./events.ts";
import { resolveLinks } from "./links.ts";
import type { Parts } from "./parts.ts";
import { newState } from "./state.ts";

export interface CreateOptions {
  /** Empty: one is made up. */
  name: string;
  spec: ContainerSpec;
  idempotencyKey: string;
  /** Tells two requests with one key apart; empty: they are not compared. */
  requestDigest?: string;
}

export interface Created {
  id: string;
  warnings: string[];
}

const nameAttempts = 8;

/** Creates by key that are under way: a repetition joins the first. */
export type PendingCreates = Map<string, { digest: string; made: Promise<Created>; signal: AbortSignal | undefined }>;

/**
 * Checks everything, then makes name, writable layer and record. Nothing is left on failure: what a crash leaves (a name or a
 * layer of a container that no record names) is swept at the next start. Throws INVALID_ARGUMENT, NOT_IMPLEMENTED, NAME_IN_USE, UNAVAILABLE.
 */
export async function create(
  parts: Parts,
  pending: PendingCreates,
  options: CreateOptions,
  signal?: AbortSignal,
): Promise<Created> {
  const { idempotencyKey: key } = options;
  if (key === "") return createOnce(parts, options, signal);
  const { requestDigest: digest = "" } = options;
  const existing = parts.registry.byIdempotencyKey(key);
  if (existing) {
    refuseOther(digest, existing.record.requestDigest ?? "");
    return { id: existing.id, warnings: [] };
  }
  const running = pending.get(key);
  if (running !== undefined) {
    refuseOther(digest, running.digest);
    try {
      return await running.made;
    } catch (error) {
      // A lost connection is what keys are for: where the first one's client went away, its repetition takes over.
      if (!running.signal?.aborted || signal?.aborted) throw error;
      return create(parts, pending, options, signal);
    }
  }
  const made = createOnce(parts, options, signal).finally(() => pending.delete(key));
  pending.set(key, { digest, made, signal });
  return made;
}

function refuseOther(digest: string, first: string): void {
  if (digest === first || digest === "" || first === "") return;
  throw new BerthError("CONFLICT", "Conflict. The Idempotency-Key was used before, with another request");
}

async function createOnce(
  parts: Parts,
  { name, spec, idempotencyKey, requestDigest }: CreateOptions,
  signal?: AbortSignal,
): Promise<Created> {
  const wanted = name === "" ? "" : checkName(name);
  const { warnings, mounts } = checkSpec(spec, parts.facts);
  if (spec.hostConfig.runtime !== "") await parts.runtimes.find(spec.hostConfig.runtime);
  await checkSources(mounts);
  resolveReferences(parts, spec);
  const links = resolveLinks(parts, spec);
  const id = newId();
  applyDefaults(spec, id, parts.facts, parts.runtimes.defaultName);
  if (wanted !== "") refuseKnownName(parts, wanted);
  const points = new Map<string, MountPoint>();
  let claimed = wanted;
  parts.registry.creating.add(id);
  try {
    const [finalName, snapshot] = await both(
      claimName(parts, id, spec, wanted).then((got) => (claimed = got)),
      prepareFiles(parts, id, spec, signal),
    );
    parts.fault("create.prepared");
    await makeWorkdir({ workingDir: spec.config.workingDir, ...snapshot, at: parts.paths.view });
    await makePoints(parts, id, spec, mounts, points);
    await fillVolumes(parts, points.values(), snapshot.layerDirs);
    parts.fault("create.filled");
    const record = makeRecord({
      id,
      name: finalName,
      spec,
      idempotencyKey,
      ...(requestDigest ? { requestDigest } : {}),
    });
    if (links.length > 0) record.links = links;
    record.rootfs = snapshot.rootfs;
    record.layerDirs = snapshot.layerDirs;
    record.mounts = [...points.values()];
    signal?.throwIfAborted();
    await parts.records.commit({
      put: record,
      events: [containerEvent(parts.nodeId, record, "create")],
    });
    parts.fault("create.recorded");
    parts.registry.add(new Container(record, parts.paths.socket(id)));
    return { id, warnings };
  } catch (error) {
    await undo(parts, id, claimed, points.values());
    throw error;
  } finally {
    parts.registry.creating.delete(id);
  }
}

/** Both at once; when one fails the other is waited for, as undoing something half done would race with it. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === "rejected") throw first.reason;
  if (second.status === "rejected") throw second.reason;
  return [first.value, second.value];
}

/**
 * --network, --ipc and --pid container:X are kept by id, as names change. Those of IPC and PID must exist; all else is seen at
 * start, when they must run.
 */
function resolveReferences(parts: Parts, { config, hostConfig: host }: ContainerSpec): void {
  for (const key of ["networkMode", "ipcMode", "pidMode"] as const) {
    const reference = containerOf(host[key]);
    if (reference === undefined || reference === "") continue;
    const target = findTarget(parts, reference, key !== "networkMode");
    if (target === undefined) continue;
    host[key] = `container:${target.id}`;
    if (key === "networkMode") Object.assign(config, namesOf(target.record.spec.config));
  }
}

/** Who shares a network shares its names. */
const namesOf = ({ hostname, domainname }: ContainerSpec["config"]) => ({ hostname, domainname });

function findTarget(parts: Parts, reference: string, needed: boolean): Container | undefined {
  try {
    return parts.registry.find(reference);
  } catch (error) {
    if (!needed) return undefined;
    throw isBerthError(error) && error.reason === "NO_SUCH_CONTAINER" ? invalid(error.message) : error;
  }
}

function refuseKnownName(parts: Parts, name: string): void {
  const owner = parts.registry.byName(name);
  if (owner) throw nameInUse(name, owner.id);
}

export function nameInUse(name: string, id: string): BerthError {
  const message =
    `Conflict. The container name "/${name}" is already in use by container "${id}". ` +
    "You have to remove (or rename) that container to be able to reuse that name.";
  return new BerthError("NAME_IN_USE", message, { containerId: id });
}

async function claimName(parts: Parts, id: string, spec: ContainerSpec, wanted: string): Promise<string> {
  const about = factsOf(spec, Math.floor(Date.now() / 1000));
  for (let attempt = 0; ; attempt++) {
    const name = wanted === "" ? randomName(attempt) : wanted;
    try {
      await claimOrHeal(parts, name, id, about);
      parts.fault("create.claimed");
      return name;
    } catch (error) {
      if (wanted !== "" || attempt >= nameAttempts || !isNameInUse(error)) throw error;
    }
  }
}

const isNameInUse = (error: unknown): error is BerthError => isBerthError(error) && error.reason === "NAME_IN_USE";

/** A name whose container was removed or renamed a moment ago may still be on its way back: then it is taken at once. */
export async function claimOrHeal(parts: Parts, name: string, id: string, about: ContainerFacts): Promise<void> {
  try {
    await parts.names.claim(name, id, about);
  } catch (error) {
    if (!isNameInUse(error)) throw error;
    const owner = error.details.containerId ?? "";
    const renamed = parts.registry.get(owner);
    const given = parts.registry.wasRemovedHere(owner) || (renamed !== undefined && renamed.record.name !== name);
    if (!given) throw error;
    await parts.names.release(name, owner);
    await parts.names.claim(name, id, about);
  }
}

function makeRecord(
  input: Pick<ContainerRecord, "id" | "name" | "spec" | "idempotencyKey" | "requestDigest">,
): ContainerRecord {
  const [path = "", ...args] = [...input.spec.config.entrypoint, ...input.spec.config.cmd];
  return {
    v: 1,
    ...input,
    created: now(),
    path,
    args,
    state: newState(),
    restartCount: 0,
    hasBeenManuallyStopped: false,
    hasBeenStartedBefore: false,
    starting: false,
    rootfs: [],
    layerDirs: [],
    mounts: [],
    endpoints: [],
    ports: [],
    removing: false,
  };
}

/** The writable layer, and the directory for log and exit record. */
async function prepareFiles(parts: Parts, id: string, { layers, hostConfig }: ContainerSpec, signal?: AbortSignal) {
  const directory = mkdir(parts.paths.container(id), { recursive: true, mode: 0o710 });
  const [snapshot] = await both(
    parts.snapshots.prepare(id, layers, { storageOptions: hostConfig.storageOpt, signal }),
    directory,
  );
  const [top] = snapshot.layerDirs;
  // One call on a directory made a moment ago: less than a way to a thread and back.
  if (top !== undefined) writeFileSync(join(top, markerFile), "", { mode: 0o755 });
  return snapshot;
}

/** Takes back whatever was made. What fails here is swept at the next start. */
async function undo(parts: Parts, id: string, name: string, points: Iterable<MountPoint>): Promise<void> {
  // A claim whose answer never came may be carried out yet: whoever finds the name taken by this id may take it.
  parts.registry.forget(id);
  const released = name === "" ? Promise.resolve() : parts.names.release(name, id);
  const results = await Promise.allSettled([
    // With NATS away the outbox does it, as soon as it can.
    released.catch(() => parts.records.commitLazily({ releaseName: { name, containerId: id } })),
    parts.snapshots.remove(id),
    releasePoints(parts, id, points, true),
    rm(parts.paths.container(id), { recursive: true, force: true }),
  ]);
  const failed = results.find((result) => result.status === "rejected");
  if (failed)
    parts.log.warn(
      { container: id, err: errorMessage(failed.reason) },
      "cannot take back a failed create, will be swept",
    );
}
