import { mkdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import { readMountInfo } from "@berth/isolation";
import { failed, invalid, notFound } from "../errors.ts";
import type { MountPoint } from "../model.ts";
import type { MountRequest } from "./requests.ts";

/** Sources of --mount must be there when the container is created. @throws INVALID_ARGUMENT with Docker's text */
export async function checkSources(requests: readonly MountRequest[]): Promise<void> {
  for (const { kind, source, createSource } of requests) {
    if (kind !== "bind" || createSource) continue;
    try {
      await stat(source);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why = code === "ENOENT" ? `bind source path does not exist: ${source}` : errorMessage(error);
      throw invalid(`invalid mount config for type "bind": ${why}`);
    }
  }
}

/**
 * What a bind's propagation is. A source in the engine's own directory, or around it, must not hold the engine's mounts for itself: an
 * unmount has to reach the container. @throws INVALID_ARGUMENT
 */
export function propagationOf({ source, propagation }: MountRequest, root: string): string {
  if (!source.startsWith(root) && !root.startsWith(source)) return propagation || "rprivate";
  if (propagation === "") return "rslave";
  if (propagation === "rslave" || propagation === "rshared") return propagation;
  throw invalid(
    'invalid mount config: must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root, ' +
      `daemon root: "${root}", bind mount source: "${source}", propagation: "${propagation}"`,
  );
}

/** Before a start: makes the directories of -v that are missing. @throws INTERNAL */
export async function makeSources(points: readonly MountPoint[]): Promise<void> {
  for (const { type, source, createSource } of points) {
    if (type !== "bind" || !createSource) continue;
    await mkdir(source, { recursive: true, mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
      // A file is a good source too.
      if (error.code === "EEXIST" || error.code === "ENOTDIR") return;
      throw failed(`error while creating mount source path '${source}': ${errorMessage(error)}`);
    });
  }
}

/**
 * What shared and slave binds will be, by destination: the kernel gives them what their source's mount is. A slave that nobody asked for
 * (see propagationOf) falls back to private. @throws INTERNAL when the source is mounted otherwise, with Docker's text
 */
export async function settlePropagation(points: readonly MountPoint[], root: string): Promise<Map<string, string>> {
  const result = new Map<string, string>();
  const wanted = points.filter(({ type, propagation }) => type === "bind" && /^r?(shared|slave)$/.test(propagation));
  if (wanted.length === 0) return result;
  const mounts = await readMountInfo();
  for (const { destination, source, propagation, mode } of wanted) {
    const path = await realpath(source).catch((error: unknown) => {
      throw failed(errorMessage(error));
    });
    const inside = (target: string) => target === "/" || path === target || path.startsWith(`${target}/`);
    // Of mounts on one path the last covers the others.
    const mount = mounts
      .filter(({ target }) => inside(target))
      .reduce((a, b) => (b.target.length >= a.target.length ? b : a));
    const isShared = mount.optional.some((word) => word.startsWith("shared:"));
    const isSlave = mount.optional.some((word) => word.startsWith("master:"));
    const isSharedWord = propagation.endsWith("shared");
    if (isShared || (isSlave && !isSharedWord)) continue;
    const ours = path.startsWith(root) || root.startsWith(path);
    if (ours && !isSharedWord && !mode.includes("slave")) result.set(destination, "rprivate");
    else {
      const what = isSharedWord ? "shared" : "shared or slave";
      throw failed(`path ${source} is mounted on ${mount.target} but it is not a ${what} mount`);
    }
  }
  return result;
}

/**
 * Whether a volume's subpath leads where it may, for an answer that says why not; what is mounted is looked up again by the runtime, which
 * nobody can deceive with a link meanwhile. @throws NO_SUCH_VOLUME (404), INVALID_ARGUMENT with Docker's texts
 */
export async function checkSubpath(base: string, subpath: string): Promise<void> {
  const whole = join(base, subpath);
  const root = await realpath(base);
  const found = await realpath(whole).catch(async (error: NodeJS.ErrnoException) => {
    throw notFound(`cannot access path ${whole}: lstat ${await firstMissing(base, subpath)}: ${goWords(error)}`);
  });
  if (found === root || found.startsWith(`${root}/`)) return;
  throw invalid(`path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`);
}

/** The part of the way at which looking ended. */
async function firstMissing(base: string, subpath: string): Promise<string> {
  let path = base;
  for (const part of subpath.split("/")) {
    path = join(path, part);
    if ((await stat(path).catch(() => undefined)) === undefined) break;
  }
  return path;
}

const goWords = ({ code, message }: NodeJS.ErrnoException): string =>
  code === "ENOENT" ? "no such file or directory" : code === "ENOTDIR" ? "not a directory" : message;
