import { isNativeError, type View } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { etcFiles } from "../containers/etc-files.ts";
import type { Paths } from "../containers/parts.ts";
import { isRunning } from "../containers/state.ts";
import type { ContainerRecord, RootfsMount } from "../model.ts";

/** An empty file by which programs tell that they are in a container. */
export const markerFile = ".dockerenv";

/** What the engine mounts in every container, and so makes where an image lacks it: no change of the container's. */
export const engineMountPoints: readonly string[] = [
  markerFile,
  "dev",
  "proc",
  "sys",
  "etc/hosts",
  "etc/hostname",
  "etc/resolv.conf",
];

/** None of these may change what another mount of the same directories sees (see the snapshotter's mounts). */
const selfContained = ["index=off", "redirect_dir=off", "metacopy=off"];

/** What a running container's processes see, all its mounts included. */
export function runningView({ record }: Container): View | undefined {
  const { pid, monitorPid } = record.state;
  return isRunning(record) && pid > 0 ? { kind: "process", pid, parentPid: monitorPid } : undefined;
}

/** What a look at a running container's files fails with once its process has gone. */
export const isGone = (error: unknown): boolean => isNativeError(error) && error.code === "ESRCH";

/** ms that a monitor may take to tell of an end, longer only while the supervisor has yet to find it */
const endMs = 5_000;

/**
 * Resolves when the container's record tells that the process of this view has ended, which it knows a moment after the kernel does;
 * after 5 s in any case. At once for views without a process.
 */
export async function ended(container: Container, view: View): Promise<void> {
  if (view.kind !== "process") return;
  const isOver = () => {
    const now = runningView(container);
    return container.removed || now?.kind !== "process" || now.pid !== view.pid;
  };
  await container.mutex.run(() => {});
  if (isOver()) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const unwatch = container.onChange(() => isOver() && resolve());
  const timer = setTimeout(resolve, endMs);
  await promise;
  clearTimeout(timer);
  unwatch();
}

/** A stopped container's files with its volumes and binds, to be written. Nothing else may mount them meanwhile. */
export function writableView(paths: Paths, record: ContainerRecord): View {
  return { kind: "mounts", rootfs: record.rootfs, binds: bindsOf(paths, record), at: paths.view, throwaway: false };
}

/** The same to be read, by any number at once and while the container starts. */
export function readableView(paths: Paths, record: ContainerRecord): View {
  return { ...rootView(paths, record), binds: bindsOf(paths, record) };
}

/** The root file system alone, whether the container runs or not: what is mounted in it shows as empty directories. */
export function rootView(paths: Paths, record: ContainerRecord): Extract<View, { kind: "mounts" }> {
  const [own] = record.rootfs;
  if (own === undefined) throw new Error(`container ${record.id} has no root file system`);
  const { base, lower } = layersOf(own);
  // Read as layers, what is being written may still be seen or not; a second mount of the same upper directory would not be allowed that.
  const options = [
    `lowerdir=${lower.join(":")}`,
    `upperdir=${paths.view}/upper`,
    `workdir=${paths.view}/work`,
    ...selfContained,
  ];
  const rootfs = [{ type: "overlay", source: "overlay", base, options }];
  return { kind: "mounts", rootfs, binds: [], at: paths.view, throwaway: true };
}

/** The directories that a root file system is made of, top first, as overlayfs wants them written. */
function layersOf({ type, source, options, base }: RootfsMount): { base: string; lower: string[] } {
  if (type !== "overlay") return { base: "", lower: [source.replaceAll(":", "\\:")] };
  const option = (name: string) => options.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1);
  const upper = option("upperdir");
  const below = option("lowerdir");
  return { base, lower: [upper, below].filter((text) => text !== undefined) };
}

function bindsOf(paths: Paths, record: ContainerRecord) {
  const { mounts } = record;
  const own = mounts
    .filter(({ type, source }) => type !== "tmpfs" && source.startsWith("/"))
    .map(({ source, destination, rw }) => ({ source, destination, readOnly: !rw, recursive: true }));
  return [...own, ...etcBinds(paths, record)].sort(
    (a, b) => a.destination.split("/").length - b.destination.split("/").length,
  );
}

/** Files of /etc as the last run left them, unless the user's own are in their place. */
function etcBinds(paths: Paths, record: ContainerRecord) {
  if (!record.hasBeenStartedBefore) return [];
  const { hosts, hostname, resolvConf } = etcFiles(paths, record);
  const pairs = [
    ["/etc/hosts", hosts],
    ["/etc/hostname", hostname],
    ["/etc/resolv.conf", resolvConf],
  ] as const;
  return pairs
    .filter(([destination]) => record.mounts.every((mount) => mount.destination !== destination))
    .map(([destination, source]) => ({ source, destination, readOnly: false, recursive: false }));
}
