import { createWriteStream } from "node:fs";
import { chmod, lchown, link, lstat, mkdir, rm, symlink, utimes } from "node:fs/promises";
import { join, sep } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header } from "tar-stream";

export interface ExtractOptions {
  /** The archive's first name, and where what is called so goes; the rest goes below it. */
  from: string;
  to: string;
  /** Owners as the archive has them. */
  owners: boolean;
}

/**
 * Unpacks an archive that somebody else has made: nothing is written outside of `to`, whatever names and links are in it.
 * Resolves to the number of bytes in files.
 */
export async function extractTree(archive: Readable, { from, to, owners }: ExtractOptions): Promise<number> {
  const place = new Place(from, to);
  const reader = extract();
  const ended = pipeline(archive, reader);
  // Told by the loop below too, which is the one that is waited for.
  ended.catch(() => {});
  const directories: [string, Header][] = [];
  let bytes = 0;
  for await (const entry of reader) {
    const { header } = entry;
    const target = await place.of(header.name);
    if (header.type === "file") bytes += header.size ?? 0;
    await make(entry as AsyncIterable<Buffer>, header, target, place);
    if (header.type === "directory") directories.push([target, header]);
    else if (header.type !== "link" && (await lstat(target).catch(() => undefined)) !== undefined)
      await describe(target, header, owners);
    entry.resume();
  }
  await ended;
  // Last: what was made in them changed their times, and may not have been allowed by their modes.
  for (const [target, header] of directories.reverse()) await describe(target, header, owners);
  return bytes;
}

/** Names of an archive as paths here. */
class Place {
  readonly #from: string;
  readonly #to: string;
  /** Directories that are no links, as far as that is known. */
  readonly #known = new Set<string>();

  constructor(from: string, to: string) {
    this.#from = from.replace(/\/+$/, "");
    this.#to = to;
  }

  /** @throws for a name that leads out, by itself or by a link that came before it */
  async of(name: string): Promise<string> {
    const clean = name.replace(/\/+$/, "");
    if (clean !== this.#from && !clean.startsWith(`${this.#from}/`))
      throw new Error(`unexpected name in the archive: ${name}`);
    const parts = clean
      .slice(this.#from.length)
      .split("/")
      .filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw new Error(`the archive leads outside: ${name}`);
    let path = this.#to;
    for (const part of parts) {
      await this.#checkDirectory(path);
      path = join(path, part);
    }
    return path;
  }

  /** Something else may stand where a directory was. */
  forget(path: string): void {
    for (const known of this.#known) if (known === path || known.startsWith(path + sep)) this.#known.delete(known);
  }

  async #checkDirectory(path: string): Promise<void> {
    if (this.#known.has(path)) return;
    const found = await lstat(path);
    // The user's own target may be a link; what the archive brought may not.
    if (!found.isDirectory() && path !== this.#to)
      throw new Error(`the archive leads through ${path}, which is no directory`);
    this.#known.add(path);
  }
}

async function make(
  entry: AsyncIterable<Buffer>,
  { type, linkname, mode }: Header,
  target: string,
  place: Place,
): Promise<void> {
  const there = await lstat(target).catch(() => undefined);
  if (type === "directory") {
    if (there?.isDirectory()) return;
    if (there !== undefined) throw new Error(`cannot overwrite non-directory "${target}" with directory`);
    await mkdir(target, { mode: 0o700 });
    return;
  }
  if (there?.isDirectory()) throw new Error(`cannot overwrite directory "${target}" with non-directory`);
  if (there !== undefined) {
    await rm(target);
    place.forget(target);
  }
  if (type === "symlink") await symlink(linkname ?? "", target);
  else if (type === "link") await link(await place.of(linkname ?? ""), target);
  else if (type === "file" || type === "contiguous-file") {
    // "x": whatever took the name meanwhile is not written through.
    await pipeline(
      entry,
      createWriteStream(target, { flags: "wx", mode: (mode ?? 0o644) & 0o777, highWaterMark: 256 * 1024 }),
    );
  }
  // Devices and pipes mean nothing outside of their container.
}

async function describe(target: string, { mode, mtime, uid, gid, type }: Header, owners: boolean): Promise<void> {
  if (owners) await lchown(target, uid ?? 0, gid ?? 0);
  if (type === "symlink") return;
  // Set-id bits are for whom the archive names, and not for whoever copies.
  await chmod(target, (mode ?? 0o644) & (owners ? 0o7777 : 0o1777));
  if (mtime !== undefined) await utimes(target, mtime, mtime);
}
