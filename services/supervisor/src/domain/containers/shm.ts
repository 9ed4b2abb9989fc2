import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@berth/errors";
import { detach, MS, mount } from "@berth/isolation";
import type { ContainerRecord } from "../model.ts";
import type { Parts } from "./parts.ts";

/**
 * The /dev/shm of a shareable container is mounted on the host, where its tools find it, as Docker's is; others have theirs inside alone.
 */
const isShareable = ({ spec }: ContainerRecord) => spec.hostConfig.ipcMode === "shareable";

const directoryOf = (parts: Parts, id: string) => join(parts.paths.container(id), "mounts", "shm");

/** Before a start: the directory on the host, or null for one that shares nothing. @throws errors of mount(2) */
export async function mountShm(parts: Parts, record: ContainerRecord): Promise<string | null> {
  if (!isShareable(record)) return null;
  const target = directoryOf(parts, record.id);
  await mkdir(target, { recursive: true, mode: 0o700 });
  // One that a supervisor left which died in the middle of a start.
  await unmountShm(parts, record);
  const flags = MS.NOSUID | MS.NOEXEC | MS.NODEV;
  const data = `mode=1777,size=${record.spec.hostConfig.shmSize}`;
  await mount({ source: "shm", target, type: "tmpfs", flags, data });
  return target;
}

/** After its end. Who has joined keeps what is in it. Never throws. */
export async function unmountShm(parts: Parts, record: ContainerRecord): Promise<void> {
  if (!isShareable(record)) return;
  await detach(directoryOf(parts, record.id)).catch((error: NodeJS.ErrnoException) => {
    // Nothing is mounted there, or it never was made.
    if (error.code === "EINVAL" || error.code === "ENOENT") return;
    parts.log.warn({ container: record.id, err: errorMessage(error) }, "cannot unmount a shared /dev/shm");
  });
}
