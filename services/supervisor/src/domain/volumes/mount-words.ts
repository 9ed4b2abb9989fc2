import { MS } from "@berth/isolation";

/** linux/mount.h; those that only volumes' options name. */
const flags = {
  SYNCHRONOUS: 0x10,
  MANDLOCK: 0x40,
  DIRSYNC: 0x80,
  NOATIME: 0x400,
  NODIRATIME: 0x800,
  UNBINDABLE: 0x20000,
  RELATIME: 0x200000,
  STRICTATIME: 0x1000000,
} as const;

/** A word sets flags or clears them. */
const words: Record<string, { set: number } | { clear: number }> = {
  defaults: { set: 0 },
  ro: { set: MS.RDONLY },
  rw: { clear: MS.RDONLY },
  suid: { clear: MS.NOSUID },
  nosuid: { set: MS.NOSUID },
  dev: { clear: MS.NODEV },
  nodev: { set: MS.NODEV },
  exec: { clear: MS.NOEXEC },
  noexec: { set: MS.NOEXEC },
  sync: { set: flags.SYNCHRONOUS },
  async: { clear: flags.SYNCHRONOUS },
  dirsync: { set: flags.DIRSYNC },
  remount: { set: MS.REMOUNT },
  mand: { set: flags.MANDLOCK },
  nomand: { clear: flags.MANDLOCK },
  atime: { clear: flags.NOATIME },
  noatime: { set: flags.NOATIME },
  diratime: { clear: flags.NODIRATIME },
  nodiratime: { set: flags.NODIRATIME },
  bind: { set: MS.BIND },
  rbind: { set: MS.BIND | MS.REC },
  unbindable: { set: flags.UNBINDABLE },
  runbindable: { set: flags.UNBINDABLE | MS.REC },
  private: { set: MS.PRIVATE },
  rprivate: { set: MS.PRIVATE | MS.REC },
  shared: { set: MS.SHARED },
  rshared: { set: MS.SHARED | MS.REC },
  slave: { set: MS.SLAVE },
  rslave: { set: MS.SLAVE | MS.REC },
  relatime: { set: flags.RELATIME },
  norelatime: { clear: flags.RELATIME },
  strictatime: { set: flags.STRICTATIME },
  nostrictatime: { clear: flags.STRICTATIME },
};

export const propagationFlags = MS.PRIVATE | MS.SHARED | MS.SLAVE | flags.UNBINDABLE;

/** fstab's fourth field: flags for the kernel, and what the file system itself reads. */
export function parseMountWords(options: string): { flags: number; data: string } {
  let set = 0;
  const data: string[] = [];
  for (const word of options.split(",")) {
    const known = Object.hasOwn(words, word) ? words[word] : undefined;
    if (known === undefined) data.push(word);
    else if ("set" in known) set |= known.set;
    else set &= ~known.clear;
  }
  return { flags: set, data: data.filter((word) => word !== "").join(",") };
}
