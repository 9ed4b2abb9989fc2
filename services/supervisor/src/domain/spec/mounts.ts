import type { ContainerSpec } from "../model.ts";
import { parseSecurityOptions } from "../validate/security.ts";
import type { MountRequest } from "./mountpoints.ts";
import type { OciMount } from "./oci.ts";

/** Host files that are bound over the container's own; null where it keeps what its image has. */
export interface NetworkFiles {
  resolvConf: string | null;
  hostname: string | null;
  hosts: string | null;
}

/** All mounts of a container in the order in which they are made. `volumes`: destination → directory on the host. */
export function mountsOf(
  spec: ContainerSpec,
  requests: readonly MountRequest[],
  volumes: ReadonlyMap<string, string>,
  files: NetworkFiles,
  /** Another container's /dev/shm, when its IPC is shared. */
  shm: string | null = null,
): OciMount[] {
  const user = new Map(requests.map((request) => [request.destination, userMount(request, volumes)]));
  const engine = [...systemMounts(spec, shm), ...fileMounts(files, spec.hostConfig.readonlyRootfs)].filter(
    (mount) => !user.has(mount.destination),
  );
  // Parents before what lies inside them, so that none hides another.
  const own = [...user.values()].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...engine, ...own];
}

function systemMounts({ hostConfig: host }: ContainerSpec, shm: string | null): OciMount[] {
  const guarded = ["nosuid", "noexec", "nodev"];
  const access = host.privileged ? [] : ["ro"];
  const cgroups = parseSecurityOptions(host.securityOpt).writableCgroups ? [] : access;
  const mounts: OciMount[] = [
    { destination: "/proc", type: "proc", source: "proc", options: guarded },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    // gid 5 is "tty" in every distribution that Docker's default was made for.
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...guarded, ...access] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...cgroups, ...guarded] },
  ];
  // The host's IPC namespace comes with the host's shared memory.
  mounts.push({ destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: guarded });
  if (host.ipcMode === "host") {
    mounts.push({ destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rprivate"] });
  } else if (shm !== null) {
    mounts.push({ destination: "/dev/shm", type: "bind", source: shm, options: ["bind", "rprivate"] });
  } else if (host.ipcMode !== "none") {
    const size = `size=${host.shmSize}`;
    mounts.push({ destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...guarded, "mode=1777", size] });
  }
  return mounts;
}

/** A read-only root file system has these read-only as well. */
function fileMounts(files: NetworkFiles, readonly: boolean): OciMount[] {
  const pairs: [string, string | null][] = [
    ["/etc/resolv.conf", files.resolvConf],
    ["/etc/hostname", files.hostname],
    ["/etc/hosts", files.hosts],
  ];
  return pairs.flatMap(([destination, source]) =>
    source === null
      ? []
      : [{ destination, type: "bind", source, options: ["rbind", ...(readonly ? ["rro"] : []), "rprivate"] }],
  );
}

function userMount(request: MountRequest, volumes: ReadonlyMap<string, string>): OciMount {
  const { kind, destination, readOnly } = request;
  if (kind === "tmpfs") {
    const options = ["noexec", "nosuid", "nodev", ...(readOnly ? ["ro"] : []), ...request.tmpfsOptions];
    return { destination, type: "tmpfs", source: "tmpfs", options: withoutOverridden(options) };
  }
  const source = kind === "volume" ? (volumes.get(destination) ?? "") : request.source;
  const bind = request.recursive ? "rbind" : "bind";
  const propagation = request.propagation || "rprivate";
  // "rro" makes what is mounted below the source read-only as well.
  const access = readOnly ? [request.recursive ? "rro" : "ro"] : [];
  return { destination, type: "bind", source, options: [bind, ...access, propagation] };
}

/** The last of two words that contradict each other wins ("noexec" … "exec"). */
function withoutOverridden(options: readonly string[]): string[] {
  const subject = (option: string) =>
    option.includes("=") ? option.slice(0, option.indexOf("=")) : option.replace(/^no|^r(?=[ow]$)/, "");
  return options.filter((option, index) => {
    const later = options.slice(index + 1).map(subject);
    return !later.includes(subject(option));
  });
}

const depth = (path: string): number => path.split("/").length;
