import type { PathStat } from "../rpc/types.ts";
import { rfc3339 } from "./time.ts";

/** Bits of st_mode (inode(7)) and what Go's os.FileMode has for them; the permission bits are the same. */
const types: readonly [mode: number, go: number][] = [
  [0o140000, 2 ** 24], // socket
  [0o120000, 2 ** 27], // symbolic link
  [0o060000, 2 ** 26], // block device
  [0o040000, 2 ** 31], // directory
  [0o020000, 2 ** 26 + 2 ** 21], // character device
  [0o010000, 2 ** 25], // FIFO
];
const setuid = 2 ** 23;
const setgid = 2 ** 22;
const sticky = 2 ** 20;

/** st_mode as Go's os.FileMode, which the Engine API speaks. */
function goFileMode(mode: number): number {
  const type = types.find(([bits]) => (mode & 0o170000) === bits)?.[1] ?? 0;
  const special = (mode & 0o4000 ? setuid : 0) + (mode & 0o2000 ? setgid : 0) + (mode & 0o1000 ? sticky : 0);
  return type + special + (mode & 0o777);
}

/** The header X-Docker-Container-Path-Stat: JSON in base64. */
export function pathStatHeader({ name, size, mode, mtime, linkTarget }: PathStat): string {
  const stat = { name, size, mode: goFileMode(mode), mtime: rfc3339(mtime), linkTarget };
  return Buffer.from(JSON.stringify(stat)).toString("base64");
}
