import type { HostConfig } from "../model.ts";
import type { OciNamespace } from "./oci.ts";

/** Namespaces to join, as paths. `network` null: the host's. */
export interface JoinedNamespaces {
  network: string | null;
  /** From --ipc/--pid container:X. */
  ipc: string | null;
  /** The /dev/shm that goes with `ipc`. */
  shm: string | null;
  pid: string | null;
}

export function namespacesOf(host: HostConfig, joined: JoinedNamespaces): OciNamespace[] {
  const found: OciNamespace[] = [{ type: "mount" }];
  if (joined.network !== null) found.push({ type: "network", path: joined.network });
  if (host.utsMode !== "host") found.push({ type: "uts" });
  if (joined.pid !== null) found.push({ type: "pid", path: joined.pid });
  else if (host.pidMode !== "host") found.push({ type: "pid" });
  if (joined.ipc !== null) found.push({ type: "ipc", path: joined.ipc });
  else if (host.ipcMode !== "host") found.push({ type: "ipc" });
  if (host.cgroupnsMode === "private") found.push({ type: "cgroup" });
  return found;
}
