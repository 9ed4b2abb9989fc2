// A cpio archive (newc) in memory: the file system that the lane's machine starts from.

import { readFile } from "node:fs/promises";

const ALIGNMENT = 4;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const S_IFCHR = 0o020000;

function header(
  name: string,
  mode: number,
  size: number,
  inode: number,
  device: { major: number; minor: number },
): Buffer {
  const field = (value: number): string => value.toString(16).padStart(8, "0");
  const links = (mode & S_IFDIR) === S_IFDIR ? 2 : 1;
  const values = [inode, mode, 0, 0, links, 0, size, 0, 0, device.major, device.minor, Buffer.byteLength(name) + 1, 0];
  return Buffer.from(`070701${values.map(field).join("")}${name}\0`);
}

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}

/** Entries in the order they were added; a file's folders must come before it (they are made as needed). */
export class Initramfs {
  readonly #chunks: Buffer[] = [];
  readonly #folders = new Set<string>();
  #inode = 1;

  #add(name: string, mode: number, data: Buffer, device = { major: 0, minor: 0 }): void {
    const start = header(name, mode, data.length, this.#inode++, device);
    this.#chunks.push(start, padding(start.length), data, padding(data.length));
  }

  folder(name: string, mode = 0o755): void {
    const parent = name.split("/").slice(0, -1).join("/");
    if (parent !== "") this.folder(parent);
    if (this.#folders.has(name)) return;
    this.#folders.add(name);
    this.#add(name, S_IFDIR | mode, Buffer.alloc(0));
  }

  file(name: string, data: Buffer | string, mode = 0o644): void {
    this.folder(name.split("/").slice(0, -1).join("/") || "root");
    this.#add(name, S_IFREG | mode, Buffer.from(data));
  }

  async copy(name: string, from: string, mode = 0o755): Promise<void> {
    this.file(name, await readFile(from), mode);
  }

  link(name: string, target: string): void {
    this.#add(name, S_IFLNK | 0o777, Buffer.from(target));
  }

  character(name: string, major: number, minor: number): void {
    this.#add(name, S_IFCHR | 0o600, Buffer.alloc(0), { major, minor });
  }

  /** The whole archive. */
  bytes(): Buffer {
    this.#add("TRAILER!!!", 0, Buffer.alloc(0));
    return Buffer.concat(this.#chunks);
  }
}
