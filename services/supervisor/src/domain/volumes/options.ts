import { ramInBytes } from "@berth/config";
import { errorMessage } from "@berth/errors";
import { invalid } from "../errors.ts";

/** Where a volume of the local driver comes from, if not from its own directory: what mount(2) is given. */
export interface MountSource {
  type: string;
  device: string;
  /** As mount(8)'s -o. */
  options: string;
}

const known = ["type", "o", "device", "size"];
/** Each needs the others beside it. */
const companions: readonly [string, readonly string[]][] = [
  ["device", ["type"]],
  ["type", ["device"]],
  ["o", ["device", "type"]],
];
/** Bounds on what a caller may have kept: far above any use. */
const maxOptionBytes = 65_536;

/** `docker volume create --opt`. @throws INVALID_ARGUMENT in Docker's words */
export function checkOptions(options: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) throw invalid(`invalid option: ${JSON.stringify(key)}`);
    if (value.length > maxOptionBytes || value.includes("\0")) throw invalid(`invalid value of option: "${key}"`);
  }
  if (options["type"] === "cifs") checkCifs(options["device"] ?? "");
  if (options["size"] !== undefined && parseSize(options["size"]) > 0) {
    throw invalid("quota size requested but no quota support");
  }
  for (const [key, others] of companions) {
    if (!Object.hasOwn(options, key)) continue;
    const missing = others.find((other) => !Object.hasOwn(options, other));
    if (missing !== undefined) throw invalid(`missing required option: ${JSON.stringify(missing)}`);
  }
}

function checkCifs(device: string): void {
  if (/^\/\/[^/]*:\d+(\/|$)/.test(device)) {
    throw invalid("port not allowed in CIFS device URL, include 'port' in 'o='");
  }
}

function parseSize(text: string): number {
  try {
    return ramInBytes(text);
  } catch (error) {
    throw invalid(errorMessage(error));
  }
}

/** What must be mounted before such a volume can be used; undefined: it is a plain directory. */
export function mountSource(options: Readonly<Record<string, string>> | null): MountSource | undefined {
  const { type = "", device = "", o = "" } = options ?? {};
  return type === "" && device === "" ? undefined : { type, device, options: o };
}

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws INVALID_ARGUMENT in Docker's words */
export function checkVolumeName(name: string): void {
  if (name.length === 1) {
    throw invalid("volume name is too short, names should be at least two alphanumeric characters");
  }
  if (namePattern.test(name)) return;
  throw invalid(
    `${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. ` +
      "If you intended to pass a host directory, use absolute path",
  );
}
