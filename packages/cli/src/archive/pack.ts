import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";

type Header = Parameters<Pack["entry"]>[0];

/**
 * A tar of a local file or directory, made while it is read. Its members are called `name` and what is below; sockets are left out.
 * Errors of the file system break the stream off.
 */
export function packTree(path: string, name: string): Pack {
  const archive = pack();
  addNode(archive, path, name)
    .then(() => archive.finalize())
    .catch((error: unknown) => archive.destroy(error as Error));
  return archive;
}

async function addNode(archive: Pack, path: string, name: string): Promise<void> {
  const stats = await lstat(path);
  const common = { name, mode: stats.mode & 0o7777, mtime: stats.mtime, uid: stats.uid, gid: stats.gid };
  if (stats.isDirectory()) {
    await addEntry(archive, { ...common, name: `${name}/`, type: "directory" });
    // One after the other: the archive is a row.
    for (const below of await readdir(path)) await addNode(archive, join(path, below), `${name}/${below}`);
  } else if (stats.isSymbolicLink()) {
    await addEntry(archive, { ...common, type: "symlink", linkname: await readlink(path) });
  } else if (stats.isFIFO()) await addEntry(archive, { ...common, type: "fifo" });
  else if (stats.isFile()) await addFile(archive, path, { ...common, size: stats.size });
}

function addEntry(archive: Pack, header: Header): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, (error) => (error ? reject(error) : resolve()));
  });
}

async function addFile(archive: Pack, path: string, header: Header & { size: number }): Promise<void> {
  if (header.size === 0) return addEntry(archive, header);
  const entry = archive.entry(header);
  // What grows meanwhile is cut where its header says that it ends.
  await pipeline(createReadStream(path, { end: header.size - 1, highWaterMark: 256 * 1024 }), entry);
}
