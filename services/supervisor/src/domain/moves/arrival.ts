import { mkdir } from "node:fs/promises";
import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { isNativeError, LayerApply, syncfs } from "@berth/isolation";
import type { Parts } from "../containers/parts.ts";
import { conflict, invalid } from "../errors.ts";
import { newId } from "../ids.ts";
import type { ContainerRecord, ImportRecord, MountPoint } from "../model.ts";
import { drop, expectHere, forgetComing } from "./coming.ts";
import type { Piece } from "./departure.ts";
import { importObstacles } from "./import-obstacles.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { takeOver } from "./take-over.ts";

export type Phase = "prepared" | "received" | "taken" | "done";

/**
 * Takes a container from another node, piece by piece, and tells how far it is. What fails before all has come leaves nothing; from then
 * on it is brought to its end whether anybody listens or not. @throws CONFLICT, INVALID_ARGUMENT, NO_SPACE, DATA_LOSS, START_FAILED,
 * UNAVAILABLE, CANCELLED
 */
export async function* receive(parts: Parts, pieces: AsyncIterable<Piece>, signal: AbortSignal): AsyncGenerator<Phase> {
  const input = pieces[Symbol.asyncIterator]();
  const manifest = await manifestFrom(input);
  const coming = await begin(parts, manifest);
  try {
    await prepare(parts, coming, signal);
    yield "prepared";
    const whole = readManifest(await unpackParts(parts, coming, input, signal));
    signal.throwIfAborted();
    await keep(parts, coming, whole);
  } catch (error) {
    throw nativeFailure(error);
  } finally {
    // Left by its caller too.
    if (!coming.whole) await drop(parts, coming);
  }
  // Begun before anybody is told: a caller that leaves now must not keep it from its end.
  const { taken, done } = takeOver(parts, coming);
  yield "received";
  await taken;
  yield "taken";
  await done;
  yield "done";
}

/** Its name here, from its record on: a crash before all has come leaves no more than that. */
async function begin(
  parts: Parts,
  { record, volumes, ran, from, fromName, revision, shipped }: Manifest,
): Promise<ImportRecord> {
  const found = await importObstacles(parts, record, volumes);
  if (found.length > 0) throw conflict(`container ${record.name} can't be moved here: ${found.join("; ")}`);
  const coming: ImportRecord = {
    v: 1,
    record: { ...record, arrival: { from, fromName, ran } },
    volumes,
    shipped,
    revision,
    whole: false,
  };
  expectHere(parts, coming);
  try {
    await parts.records.commit({ putImport: coming });
  } catch (error) {
    forgetComing(parts, coming);
    throw error;
  }
  parts.fault("arrive.begun");
  return coming;
}

/** The layers of its image, a writable layer on them, and empty directories for the rest. */
async function prepare(parts: Parts, coming: ImportRecord, signal: AbortSignal): Promise<void> {
  const { record, volumes } = coming;
  // Of an attempt that was cut short.
  await parts.snapshots.remove(record.id);
  const { rootfs, layerDirs } = await parts.snapshots.prepare(record.id, record.spec.layers, {
    storageOptions: record.spec.hostConfig.storageOpt,
    signal,
  });
  Object.assign(record, { rootfs, layerDirs });
  record.mounts = await Promise.all(record.mounts.map((point) => mountHere(parts, point, signal)));
  await mkdir(parts.paths.container(record.id), { recursive: true, mode: 0o710 });
  for (const { name } of volumes) await parts.volumes.parts.drivers.local.create(name, {});
  parts.fault("arrive.prepared");
}

async function mountHere(parts: Parts, point: MountPoint, signal: AbortSignal): Promise<MountPoint> {
  const { type, name, view } = point;
  if (type === "volume") return { ...point, source: parts.volumes.parts.drivers.local.pathOf(name), mountId: newId() };
  if (view === undefined) return point;
  await parts.snapshots.remove(view.key);
  const { rootfs, layerDirs } = await parts.snapshots.view(view.key, view.layers, signal);
  const [mount] = rootfs;
  if (mount === undefined) throw new BerthError("INTERNAL", `no mount for image ${name}`);
  return { ...point, source: layerDirs[0] ?? "", view: { ...view, mount } };
}

/** Gives the manifest that ends them. */
async function unpackParts(
  parts: Parts,
  { record, volumes }: ImportRecord,
  input: AsyncIterator<Piece>,
  signal: AbortSignal,
): Promise<Buffer> {
  const missing = new Set(["layer/", "files/", ...volumes.map(({ name }) => `volume/${name}`)]);
  for (;;) {
    const piece = await next(input);
    if (piece.$case === "whole") {
      if (missing.size > 0) throw invalid(`a container was sent without ${[...missing].join(", ")}`);
      return piece.value;
    }
    if (piece.$case !== "part") throw invalid(`a container was sent with ${piece.$case} out of place`);
    const { kind, name } = piece.value;
    if (!missing.delete(`${kind}/${name}`))
      throw invalid(`a container was sent with a part that it has not: ${kind} ${name}`);
    await unpack(pathOf(parts, record, kind, name), input, signal);
    parts.fault(`arrive.${kind}`);
  }
}

function pathOf(parts: Parts, record: ContainerRecord, kind: string, name: string): string {
  if (kind === "layer") return record.layerDirs[0] ?? "";
  return kind === "volume" ? parts.volumes.parts.drivers.local.pathOf(name) : parts.paths.container(record.id);
}

async function unpack(target: string, input: AsyncIterator<Piece>, signal: AbortSignal): Promise<void> {
  const apply = new LayerApply({ target, source: { kind: "push" }, whiteouts: false, faithful: true, signal });
  let failed = false;
  apply.result.catch(() => {
    failed = true;
  });
  try {
    for (;;) {
      const piece = await next(input);
      if (piece.$case === "endOfPart") {
        const { diffId } = await apply.finish();
        if (diffId !== piece.value) throw new BerthError("DATA_LOSS", "a part of a container was damaged on its way");
        return;
      }
      if (piece.$case !== "data") throw invalid(`a container was sent with ${piece.$case} out of place`);
      if (failed) await apply.result;
      await apply.write(piece.value);
    }
  } catch (error) {
    apply.abort();
    await apply.result.catch(() => undefined);
    throw error;
  }
}

/** All of it is on the disk, for good. */
async function keep(parts: Parts, coming: ImportRecord, whole: Manifest): Promise<void> {
  const { record } = coming;
  if (whole.record.id !== record.id || whole.record.name !== record.name)
    throw invalid("a container was sent as another than it began");
  await Promise.all([record.layerDirs[0] ?? parts.paths.stateDir, parts.paths.stateDir].map((path) => syncfs(path)));
  const { rootfs, layerDirs, mounts, arrival } = record;
  coming.record = { ...whole.record, rootfs, layerDirs, mounts, arrival };
  coming.shipped = whole.shipped;
  coming.revision = whole.revision;
  await parts.records.commit({ putImport: { ...coming, whole: true } });
  coming.whole = true;
  parts.fault("arrive.whole");
}

async function next(input: AsyncIterator<Piece>): Promise<Piece> {
  const { done, value } = await input.next();
  if (done) throw new BerthError("CANCELLED", "the other node, or who spoke for it, left in the middle of a container");
  return value as Piece;
}

async function manifestFrom(input: AsyncIterator<Piece>): Promise<Manifest> {
  const piece = await next(input);
  if (piece.$case !== "manifest") throw invalid(`a container was sent with ${piece.$case} before its manifest`);
  return readManifest(piece.value);
}

function nativeFailure(error: unknown): unknown {
  if (isBerthError(error) || !isNativeError(error)) return error;
  const isFull = error.code === "ENOSPC" || error.code === "EDQUOT";
  const why = isFull ? "there is no space left on this node" : errorMessage(error);
  return new BerthError(
    isFull ? "NO_SPACE" : "INTERNAL",
    `cannot take the container over: ${why}`,
    {},
    { cause: error },
  );
}
