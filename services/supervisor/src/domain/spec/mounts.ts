import { failed } from "../errors.ts";
import type { ContainerSpec, MountPoint } from "../model.ts";
import { parseSecurityOptions } from "../validate/security.ts";
import type { OciMount } from "./oci.ts";
import { tmpfsOptions } from "./tmpfs.ts";

/** Host files that are bound over the container's own; null where it keeps what its image has. */
export interface NetworkFiles {
  resolvConf: string | null;
  hostname: string | null;
  hosts: string | null;
}

/** The user's mounts, and what of them is known at a start only, by destination. */
export interface UserMounts {
  mounts: readonly MountPoint[];
  /** Directories on the host. */
  volumes: ReadonlyMap<string, string>;
  propagation: ReadonlyMap<string, string>;
}

/** All mounts of a container in the order in which they are made. @throws INTERNAL for tmpfs options that there are not */
export function mountsOf(
  spec: ContainerSpec,
  user: UserMounts,
  files: NetworkFiles,
  /** Another container's /dev/shm, when its IPC is shared. */
  shm: string | null = null,
): OciMount[] {
  const stages = stagesOf(user.mounts);
  const own = new Map(user.mounts.map((point) => [point.destination, userMount(point, user, stages)]));
  for (const [destination, options] of Object.entries(spec.hostConfig.tmpfs)) {
    const given = options === "" ? [] : options.split(",");
    own.set(destination, { destination, type: "tmpfs", source: "tmpfs", options: tmpfsOptions(given) });
  }
  if (own.has("/proc")) throw failed(overProc(own.get("/proc")?.source ?? ""));
  // A /dev of the user's own is all there is of it.
  const isHidden = (path: string) => own.has(path) || (own.has("/dev") && path.startsWith("/dev/"));
  const isShown = ({ destination }: OciMount) => !isHidden(destination);
  const etc = fileMounts(files, spec.hostConfig.readonlyRootfs).filter(isShown);
  // Parents before what lies inside them, so that none hides another: /etc/hosts is there in an /etc of the user's own.
  const sorted = [...own.values(), ...etc].sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...systemMounts(spec, shm).filter(isShown), ...sorted];
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

/** Names of the directories of a bundle that images are mounted on, by destination of their mounts. */
export function stagesOf(points: readonly MountPoint[]): Map<string, string> {
  const images = points.filter(({ view }) => view !== undefined);
  return new Map(images.map(({ destination }, index) => [destination, `image-${index}`]));
}

function userMount(point: MountPoint, input: UserMounts, stages: ReadonlyMap<string, string>): OciMount {
  const { type, destination, subpath } = point;
  if (type === "tmpfs") {
    return { destination, type: "tmpfs", source: "tmpfs", options: tmpfsOptions(point.tmpfsOptions) };
  }
  const staged = stages.get(destination);
  const source = type === "volume" ? (input.volumes.get(destination) ?? point.source) : (staged ?? point.source);
  const bind = point.recursive ? "rbind" : "bind";
  const propagation = input.propagation.get(destination) ?? (point.propagation || "rprivate");
  // "rro" makes what is mounted below the source read-only as well.
  const access = point.rw ? [] : [point.readOnlyRecursion === "no" ? "ro" : "rro"];
  const inner = subpath === "" ? [] : [`src-subpath=${subpath}`];
  return { destination, type: "bind", source, options: [bind, ...access, propagation, ...inner] };
}

/** What a container must not get: a /proc that others write. In the words of Docker's runtime. */
const overProc = (source: string): string =>
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start " +
  `container process: error during container init: error mounting ${JSON.stringify(source)} to rootfs at "/proc": create mountpoint ` +
  'for /proc mount: check proc-safety of /proc mount: "/proc" cannot be mounted because it is not of type proc';

const depth = (path: string): number => path.split("/").length;
