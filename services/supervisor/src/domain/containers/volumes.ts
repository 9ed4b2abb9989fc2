import { chmod, chown, cp, lchown, lstat, opendir, readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { BerthError } from "@berth/errors";

/**
 * Fills a new anonymous volume with what the image has at `destination`, and gives it that directory's owner and mode. Reads
 * the layers' directories (top first), never follows a link out of them. Throws NOT_IMPLEMENTED where layers would have to be
 * merged: more than one has files there.
 */
export async function copyUp(layerDirs: readonly string[], destination: string, volume: string): Promise<void> {
  const found: string[] = [];
  for (const layer of layerDirs) {
    const directory = await directoryIn(layer, destination);
    if (directory === undefined) continue;
    found.push(directory);
  }
  const [top] = found;
  if (top === undefined) return;
  const filled: string[] = [];
  for (const directory of found) {
    if ((await readdir(directory)).length > 0) filled.push(directory);
  }
  if (filled.length > 1)
    throw new BerthError("NOT_IMPLEMENTED", `a volume at ${destination}, which several layers of the image fill`);
  if (filled[0] !== undefined) await copyTree(filled[0], volume);
  const status = await lstat(top);
  await chown(volume, status.uid, status.gid);
  await chmod(volume, status.mode & 0o7777);
}

/** The directory at `path` below `root`, when every component is a directory there (no link is followed). */
async function directoryIn(root: string, path: string): Promise<string | undefined> {
  let at = root;
  for (const part of path.split("/").filter((name) => name !== "")) {
    at = join(at, part);
    const status = await lstat(at).catch(() => undefined);
    if (!status?.isDirectory()) return undefined;
  }
  return at;
}

async function copyTree(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, force: true });
  await copyOwners(from, to);
}

/** fs.cp keeps modes and times, not owners. */
async function copyOwners(from: string, to: string): Promise<void> {
  for await (const entry of await opendir(from)) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    const status = await lstat(source);
    await lchown(target, status.uid, status.gid);
    if (entry.isDirectory()) await copyOwners(source, target);
    if (!entry.isSymbolicLink()) {
      await chmod(target, status.mode & 0o7777);
      await utimes(target, status.atime, status.mtime);
    }
  }
}
