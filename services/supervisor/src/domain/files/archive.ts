import { basename, posix } from "node:path";
import { BerthError } from "@berth/errors";
import {
  isNativeError,
  type PathStatus,
  readTree,
  resolveDirectory,
  statPath as statIn,
  type TreeArchive,
  TreeWrite,
  type View,
} from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import type { Parts } from "../containers/parts.ts";
import { invalid } from "../errors.ts";
import type { ContainerRecord } from "../model.ts";
import { lookFailure, unpackFailure } from "./failure.ts";
import { ended, isGone, readableView, runningView } from "./view.ts";

export interface FileStat extends PathStatus {
  /** The path's last part. */
  name: string;
}

/** A container that ends between two looks at it is looked at again; one that does so all the time is not waited for. */
const maxTries = 4;

/** What is under a path. `reference` is the container's name as the caller said it. @throws NOT_FOUND, INTERNAL */
export async function statPath(parts: Parts, container: Container, path: string, reference: string): Promise<FileStat> {
  try {
    const status = await inView(parts, container, (view) => statIn(view, path));
    return { ...status, name: lastName(path) };
  } catch (error) {
    throw lookFailure(error, path, reference);
  }
}

/**
 * A tar of what is under a path, as it is read; to be read to its end or returned. With an inbox it goes to the connection that is handed
 * over there, and the pieces tell of its end alone.
 * @throws NOT_FOUND, INTERNAL; CANCELLED when the connection's client has gone
 */
export async function readArchive(
  parts: Parts,
  container: Container,
  path: string,
  reference: string,
  inbox: string | null,
  signal: AbortSignal,
): Promise<{ stat: FileStat; pieces: TreeArchive["pieces"] }> {
  const whole = absolute(path);
  try {
    const { status, pieces } = await inView(parts, container, (view) => readTree(view, whole, signal, inbox));
    if (status === null) throw new Error("an archive of a path came without its status");
    tell(parts, container, "archive-path");
    return { stat: { ...status, name: lastName(whole) }, pieces };
  } catch (error) {
    throw lookFailure(error, isNativeError(error) && error.code === "ENOENT" ? path : whole, reference);
  }
}

export interface WriteArchiveOptions {
  /** An existing directory. */
  path: string;
  noOverwriteDirNonDir: boolean;
  copyUidGid: boolean;
  reference: string;
}

/**
 * Unpacks a tar into a directory of the container. What had been unpacked before a failure stays.
 * @throws NOT_FOUND, INVALID_ARGUMENT (no directory, read-only), INTERNAL (damaged archive, no space), CANCELLED
 */
export async function writeArchive(
  parts: Parts,
  container: Container,
  options: WriteArchiveOptions,
  data: AsyncIterable<Buffer>,
  signal: AbortSignal,
): Promise<void> {
  await unpack(parts, container, options, null, (write) => feed(write, data), signal);
}

/**
 * The same with the body of a client's request. `opened` hears of the inbox where its connection is waited for. Resolves with whether
 * that may carry another request.
 * @throws as writeArchive; INTERNAL too for a body whose chunks are malformed
 */
export function receiveArchive(
  parts: Parts,
  container: Container,
  options: WriteArchiveOptions,
  opened: (inbox: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const inbox = parts.paths.inbox();
  const receive = async (write: TreeWrite) => {
    if (await write.opened) opened(inbox);
    return write.result;
  };
  return unpack(parts, container, options, inbox, receive, signal);
}

async function unpack<T>(
  parts: Parts,
  container: Container,
  { path, reference, noOverwriteDirNonDir, copyUidGid }: WriteArchiveOptions,
  inbox: string | null,
  work: (write: TreeWrite) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const directory = await targetOf(parts, container, path, reference);
  checkWritable(container.record, directory);
  const own = container.record.spec.config.user;
  const settings = { directory, keepKind: noOverwriteDirNonDir, user: copyUidGid && own !== "" ? own : null, inbox };
  try {
    const result = await container.writers.run(container, parts.paths, (view) =>
      work(new TreeWrite(view, settings, signal)),
    );
    tell(parts, container, "extract-to-dir");
    return result;
  } catch (error) {
    signal.throwIfAborted();
    throw unpackFailure(error, path, reference);
  }
}

async function feed(write: TreeWrite, data: AsyncIterable<Buffer>): Promise<void> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  write.result.then(done, done);
  try {
    // The container may have ended meanwhile; then nothing has been taken of the archive.
    if (!(await write.opened)) return void (await write.result);
    for await (const chunk of data) {
      // The archive has ended, well or badly: what still comes is nobody's.
      if (settled) break;
      await write.write(chunk);
    }
    await write.finish();
  } catch (error) {
    write.abort();
    await write.result.catch(() => {});
    throw error;
  }
}

async function targetOf(parts: Parts, container: Container, path: string, reference: string): Promise<string> {
  try {
    return await inView(parts, container, (view) => resolveDirectory(view, posix.join("/", path)));
  } catch (error) {
    if (!isNativeError(error)) throw error;
    if (error.code === "ELOOP") throw new BerthError("INTERNAL", "EvalSymlinks: too many links", {}, { cause: error });
    if (error.code !== "ENOTDIR") throw lookFailure(error, path, reference);
    // The path itself is something else; or something on the way to it is.
    const found = await statPath(parts, container, posix.join("/", path), reference).catch(() => undefined);
    if (found !== undefined) throw invalid("extraction point is not a directory");
    throw new BerthError("INTERNAL", "not a directory", {}, { cause: error });
  }
}

/** The mount that holds the directory decides, else the root file system. */
function checkWritable({ mounts, spec }: ContainerRecord, directory: string): void {
  const [mount] = mounts
    .filter(
      ({ destination }) => directory === destination || directory.startsWith(`${destination.replace(/\/$/, "")}/`),
    )
    .sort((a, b) => b.destination.length - a.destination.length);
  if (mount !== undefined && !mount.rw) throw invalid("mounted volume is marked read-only");
  if (mount === undefined && spec.hostConfig.readonlyRootfs) throw invalid("container rootfs is marked read-only");
}

/** Runs `look` on what the container's processes see, or would see. */
async function inView<T>(parts: Parts, container: Container, look: (view: View) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const view = runningView(container) ?? readableView(parts.paths, container.record);
    try {
      return await look(view);
    } catch (error) {
      if (!isGone(error) || tries === maxTries) throw error;
      await ended(container, view);
    }
  }
}

function tell(parts: Parts, container: Container, action: string): void {
  if (container.removed) return;
  parts.records.commitSoon({ events: [containerEvent(parts.nodeId, container.record, action)] });
}

/** Absolute and without "..", by its text alone; a "." or a slash at its end stays: with it a link is followed. */
export function absolute(path: string): string {
  const clean = posix.join("/", path).replace(/(.)\/$/, "$1");
  if (lastName(path) === ".") return clean.endsWith("/") ? `${clean}.` : `${clean}/.`;
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

/** As Go's filepath.Base: of "/" it is "/". */
const lastName = (path: string): string => basename(path) || "/";
