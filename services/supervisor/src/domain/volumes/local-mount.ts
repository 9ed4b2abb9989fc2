import { lookup } from "node:dns/promises";
import { isIP, isIPv4 } from "node:net";
import { BerthError, errorMessage } from "@berth/errors";
import { isNativeError, MS, mount, umount } from "@berth/isolation";
import { parseMountWords, propagationFlags } from "./mount-words.ts";
import type { MountSource } from "./options.ts";

/** Mounts on this host what a volume's options name. @throws INTERNAL in Docker's words, without passwords */
export async function mountLocal(source: MountSource, target: string): Promise<void> {
  const { device, options } = await resolveAddress(source);
  try {
    await mountWith(device, target, source.type, options);
  } catch (error) {
    throw new BerthError("INTERNAL", `failed to mount local volume: ${hidePassword(errorMessage(error), options)}`);
  }
}

/** The kernel wants numbers where people write names: "addr=" of nfs and cifs, and the host in cifs' device. */
async function resolveAddress({ type, device, options }: MountSource): Promise<{ device: string; options: string }> {
  if (type !== "nfs" && type !== "cifs") return { device, options };
  const address = optionOf(options, "addr");
  if (address !== "" && !isIPv4(address)) {
    return { device, options: options.replace(`addr=${address}`, `addr=${await numberOf(address)}`) };
  }
  const host = type === "cifs" ? (/^\/\/([^/]+)/.exec(device)?.[1] ?? "") : "";
  if (host === "" || isIP(host) !== 0) return { device, options };
  return { device: device.replace(host, await numberOf(host)), options };
}

async function numberOf(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new BerthError(
      "INTERNAL",
      `error resolving passed in network volume address: lookup ${host}: ${isUnknown(error) ? "no such host" : errorMessage(error)}`,
    );
  }
}

const isUnknown = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOTFOUND";

function optionOf(options: string, key: string): string {
  const found = options.split(",").find((option) => option.startsWith(`${key}=`));
  return found?.slice(key.length + 1) ?? "";
}

function hidePassword(text: string, options: string): string {
  const password = optionOf(options, "password");
  return password === "" ? text : text.replace(`password=${password}`, "password=********");
}

/** mount(8)'s work: the mount, then its propagation, then what a bind takes only in a second step. */
async function mountWith(source: string, target: string, type: string, options: string): Promise<void> {
  const { flags, data } = parseMountWords(options);
  const plain = flags & ~propagationFlags;
  await step("mount", source, target, plain, data, () => mount({ source, target, type, flags: plain, data }));
  try {
    if ((flags & propagationFlags) !== 0) {
      const propagation = flags & (propagationFlags | MS.REC);
      await step("remount", "", target, propagation, "", () => mount({ source: "", target, flags: propagation }));
    }
    if ((plain & MS.BIND) !== 0 && (plain & MS.RDONLY) !== 0) {
      const again = plain | MS.REMOUNT;
      await step("remount-ro", "", target, again, "", () => mount({ source: "", target, flags: again }));
    }
  } catch (error) {
    await umount(target);
    throw error;
  }
}

async function step(
  what: string,
  source: string,
  target: string,
  flags: number,
  data: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isNativeError(error)) throw error;
    const where = source === "" ? target : `${source}:${target}`;
    const how = `${flags === 0 ? "" : `, flags: 0x${flags.toString(16)}`}${data === "" ? "" : `, data: ${data}`}`;
    throw new Error(`${what} ${where}${how}: ${kernelWords(error)}`, { cause: error });
  }
}

/** "mount /x: No such device" as clients know it: "no such device". */
function kernelWords({ message }: Error): string {
  const words = message.slice(message.lastIndexOf(": ") + 2);
  return words.charAt(0).toLowerCase() + words.slice(1);
}
