import { BerthError } from "@berth/errors";
import type { Image, MountSpec } from "../../rpc/types.ts";
import type { HostConfigBody, MountBody } from "./body.ts";

const invalid = (text: string) => new BerthError("INVALID_ARGUMENT", text);

/** What no node is needed for; the supervisor checks the rest. @throws INVALID_ARGUMENT */
export function checkMount(mount: MountBody): void {
  const type = mount.Type ?? "";
  const fail = (text: string) => invalid(`invalid mount config for type ${JSON.stringify(type)}: ${text}`);
  const target = mount.Target ?? "";
  if (target === "") throw fail("field Target must not be empty");
  if (/^\/+$/.test(target)) throw fail("invalid specification: destination can't be '/'");
  if (!target.startsWith("/")) throw fail(`invalid mount path: '${target}' mount path must be absolute`);
  if (!["bind", "volume", "tmpfs", "image"].includes(type)) throw fail("mount type unknown");
  if ((type === "bind" || type === "image") && !mount.Source) throw fail("field Source must not be empty");
  if (type === "tmpfs" && mount.Source) throw fail("field Source must not be specified");
  if (type !== "image" && mount.ImageOptions !== undefined) throw fail("field ImageOptions must not be specified");
  for (const option of mount.TmpfsOptions?.Options ?? []) {
    if (option.length < 1 || option.length > 2) throw fail("invalid option array length");
  }
}

export function mountOf(mount: MountBody): MountSpec {
  const { BindOptions: bind, VolumeOptions: volume, TmpfsOptions: tmpfs, ImageOptions: image } = mount;
  return {
    type: mount.Type ?? "",
    source: mount.Source ?? "",
    target: mount.Target ?? "",
    readOnly: mount.ReadOnly ?? false,
    consistency: mount.Consistency ?? "",
    propagation: bind?.Propagation ?? "",
    nonRecursive: bind?.NonRecursive ?? false,
    createMountpoint: bind?.CreateMountpoint ?? false,
    readOnlyNonRecursive: bind?.ReadOnlyNonRecursive ?? false,
    readOnlyForceRecursive: bind?.ReadOnlyForceRecursive ?? false,
    noCopy: volume?.NoCopy ?? false,
    subpath: volume?.Subpath ?? image?.Subpath ?? "",
    labels: volume?.Labels ?? {},
    driver: volume?.DriverConfig?.Name ?? "",
    driverOptions: volume?.DriverConfig?.Options ?? {},
    tmpfsSize: tmpfs?.SizeBytes ?? 0,
    tmpfsMode: tmpfs?.Mode ?? 0,
    tmpfsFlags: (tmpfs?.Options ?? []).map((option) => option.join("=")),
    imageId: "",
    imageLayers: [],
  };
}

/** Says what the images to mount are. `find` throws NO_SUCH_IMAGE. */
export async function resolveImages(
  mounts: readonly MountSpec[],
  find: (reference: string) => Promise<Image>,
): Promise<void> {
  for (const mount of mounts) {
    if (mount.type !== "image") continue;
    const { id, layers } = await find(mount.source);
    Object.assign(mount, { imageId: id, imageLayers: layers });
  }
}

/** What Docker takes and warns of. */
export function mountWarnings(host: HostConfigBody | undefined): string[] {
  const mounts = host?.Mounts ?? [];
  const warnings = mounts.filter(({ Type }) => Type === "image").map(() => "Image mount is an experimental feature");
  return warnings;
}
