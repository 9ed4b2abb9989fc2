import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { BerthError, errorMessage } from "@berth/errors";
import type { DeviceMapping, HostConfig } from "../model.ts";
import type { OciDevice, OciDeviceRule } from "./oci.ts";

const deny: OciDeviceRule = { allow: false, access: "rwm" };
const allow = (type: string, major?: number, minor?: number, access = "rwm"): OciDeviceRule => ({
  allow: true,
  type,
  ...(major !== undefined && { major }),
  ...(minor !== undefined && { minor }),
  access,
});

/** Docker's: nodes may be made (mknod), but only these can be opened. */
const defaultRules: readonly OciDeviceRule[] = [
  deny,
  allow("c", undefined, undefined, "m"),
  allow("b", undefined, undefined, "m"),
  allow("c", 1, 3),
  allow("c", 1, 5),
  allow("c", 1, 7),
  allow("c", 1, 8),
  allow("c", 1, 9),
  allow("c", 5, 0),
  allow("c", 5, 1),
  allow("c", 5, 2),
  allow("c", 136),
];

export interface Devices {
  nodes: OciDevice[];
  rules: OciDeviceRule[];
}

/** Nodes to make and rules of what may be opened. Throws INVALID_ARGUMENT when a device asked for is not on the host. */
export async function devicesOf(host: HostConfig): Promise<Devices> {
  if (host.privileged) return { nodes: await hostDevices("/dev"), rules: [{ allow: true, access: "rwm" }] };
  const nodes: OciDevice[] = [];
  const rules = [...defaultRules];
  for (const mapping of host.resources.devices) {
    for (const node of await mappedDevices(mapping)) {
      nodes.push(node);
      rules.push(allow(node.type, node.major, node.minor, accessOf(mapping.cgroupPermissions)));
    }
  }
  for (const rule of host.resources.deviceCgroupRules) rules.push(parseRule(rule));
  return { nodes, rules };
}

/** Of "rwm"; what else stands there the kernel's interface passes over. */
const accessOf = (permissions: string): string => permissions.replaceAll(/[^rwm]/g, "") || "rwm";

/** "c 1:3 rwm", with "*" for any. */
function parseRule(rule: string): OciDeviceRule {
  const [type = "a", numbers = "*:*", access = "rwm"] = rule.split(" ");
  const [major, minor] = numbers.split(":").map((part) => (part === "*" ? undefined : Number(part)));
  return allow(type, major, minor, access);
}

/** One device, or all below a directory of the host. */
async function mappedDevices(mapping: DeviceMapping): Promise<OciDevice[]> {
  const inside = mapping.pathInContainer || mapping.pathOnHost;
  try {
    const source = await realpath(mapping.pathOnHost);
    const status = await stat(source);
    if (!status.isDirectory()) return [await deviceAt(source, inside)];
    const found = await hostDevices(source);
    if (found.length === 0) throw new Error(notADevice);
    return found.map((device) => ({ ...device, path: join(inside, device.path.slice(source.length)) }));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : errorMessage(error);
    throw new BerthError(
      "INTERNAL",
      `error gathering device information while adding custom device "${mapping.pathOnHost}": ${why}`,
    );
  }
}

const notADevice = "not a device node";

async function deviceAt(path: string, inside: string): Promise<OciDevice> {
  const status = await stat(path);
  const type = status.isCharacterDevice() ? "c" : status.isBlockDevice() ? "b" : undefined;
  if (type === undefined) throw new Error(notADevice);
  const { major, minor } = deviceNumbers(status.rdev);
  return { path: inside, type, major, minor, fileMode: status.mode & 0o777, uid: status.uid, gid: status.gid };
}

/** glibc's gnu_dev_major and gnu_dev_minor. */
export function deviceNumbers(rdev: number): { major: number; minor: number } {
  const low = (rdev % 2 ** 32) >>> 0;
  const high = Math.floor(rdev / 2 ** 32);
  return { major: ((low >>> 8) & 0xfff) | (high & ~0xfff), minor: (low & 0xff) | ((low >>> 12) & 0xfff00) };
}

/** Made by the container's own mounts; the host's are of no use inside. */
const skipped = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "ptmx"]);
const maxDevices = 4096;

async function hostDevices(directory: string): Promise<OciDevice[]> {
  const found: OciDevice[] = [];
  const walk = async (path: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (skipped.has(entry.name) || found.length >= maxDevices) continue;
      const full = join(path, entry.name);
      if (entry.isDirectory()) await walk(full);
      else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
        // A device may go while we look; the others stay.
        const device = await deviceAt(full, full).catch(() => undefined);
        if (device) found.push(device);
      }
    }
  };
  await walk(directory);
  return found;
}

/** Numbers of a block device named by path, for I/O limits. */
export async function blockDeviceNumbers(path: string): Promise<{ major: number; minor: number }> {
  try {
    return deviceNumbers((await stat(path)).rdev);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : errorMessage(error);
    throw new BerthError("INTERNAL", `stat ${path}: ${why}`);
  }
}
