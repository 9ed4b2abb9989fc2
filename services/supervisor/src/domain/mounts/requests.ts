import { posix } from "node:path";
import type { BerthError } from "@berth/errors";
import { failed, invalid } from "../errors.ts";
import type { HostConfig, Layer, MountSpec } from "../model.ts";
import { parseMode, propagations, readMode } from "./words.ts";

/** A mount as the user asked for it (-v, --mount), checked as far as that goes without looking at anything. */
export interface MountRequest {
  kind: "bind" | "volume" | "tmpfs" | "image";
  /** Path on the host; a volume's name (empty: anonymous); an image as the user named it. */
  source: string;
  destination: string;
  readOnly: boolean;
  /** Empty: not given. */
  propagation: string;
  recursive: boolean;
  readOnlyRecursion: "" | "no" | "force";
  /** Make the source on the host when it is missing: -v does, --mount only when asked. */
  createSource: boolean;
  /** The mode of -v as given, for inspect. */
  mode: string;
  noCopy: boolean;
  subpath: string;
  driver: string;
  driverOptions: Record<string, string> | null;
  labels: Record<string, string> | null;
  tmpfsOptions: string[];
  image: { id: string; layers: readonly Layer[] } | undefined;
  /** The image's, or -v /path: nothing but where is said of it. */
  fromConfig: boolean;
}

const plain: Omit<MountRequest, "kind" | "destination"> = {
  source: "",
  readOnly: false,
  propagation: "",
  recursive: true,
  readOnlyRecursion: "",
  createSource: false,
  mode: "",
  noCopy: false,
  subpath: "",
  driver: "",
  driverOptions: null,
  labels: null,
  tmpfsOptions: [],
  image: undefined,
  fromConfig: false,
};

/**
 * What --mount, --tmpfs and -v ask for, in the order in which Docker checks them. @throws INVALID_ARGUMENT, and INTERNAL for what is wrong
 * with -v, with Docker's texts
 */
export function parseRequests(host: HostConfig): MountRequest[] {
  const mounts = host.mounts.map(parseMount);
  for (const target of Object.keys(host.tmpfs)) checkTarget(target, (why) => invalid(why));
  const binds = host.binds.map((bind) => parseBind(bind, host.volumeDriver));
  const seen = new Set<string>();
  const add = (destination: string, shown: string) => {
    if (seen.has(destination)) throw invalid(`Duplicate mount point: ${shown}`);
    seen.add(destination);
  };
  for (const { destination } of binds) {
    if (Object.hasOwn(host.tmpfs, destination)) throw invalid(`Duplicate mount point: ${destination}`);
    add(destination, destination);
  }
  for (const [index, { destination }] of mounts.entries()) add(destination, host.mounts[index]?.target ?? destination);
  const all = [...binds, ...mounts];
  return host.readOnlyNonRecursive === true ? all.map(withoutRecursion) : all;
}

const withoutRecursion = (request: MountRequest): MountRequest =>
  request.kind === "bind" && request.readOnlyRecursion === "" ? { ...request, readOnlyRecursion: "no" } : request;

/** A volume that an image or -v /path asks for. What is odd about it (no slash, a colon) Docker takes as well. */
export function anonymousVolume(destination: string, driver: string): MountRequest {
  return { ...plain, kind: "volume", destination: cleanPath(destination), driver, fromConfig: true };
}

const cleanPath = (path: string): string => posix.normalize(path).replace(/(.)\/$/, "$1");

/** "/host:/container[:options]", "name:/container[:options]" or "/container". */
function parseBind(text: string, volumeDriver: string): MountRequest {
  const whole = `invalid volume specification: '${text}'`;
  const parts = text.split(":");
  const [first = "", second = "", mode = ""] = parts;
  if (first === "" || parts.length > 3) throw failed(whole);
  // A destination and a mode alone are no volume.
  if (parts.length === 2 && readMode(second) !== undefined) throw failed(whole);
  const options = parseMode(mode);
  const [source, target] = parts.length === 1 ? ["", first] : [first, second];
  const kind = source.startsWith("/") ? "bind" : "volume";
  const wrong = (why: string) => failed(`${whole}: invalid mount config for type "${kind}": ${why}`);
  if (target === "") throw wrong("field Target must not be empty");
  const destination = checkTarget(target, wrong);
  const common = { ...plain, kind, destination, readOnly: options.access === "ro", mode } as const;
  if (kind === "bind") {
    if (options.copy !== "") throw wrong("field VolumeOptions must not be specified");
    return { ...common, source: cleanPath(source), propagation: options.propagation, createSource: true };
  }
  if (options.propagation !== "") throw wrong("field BindOptions must not be specified");
  if (common.readOnly && source === "") throw wrong("must not set ReadOnly mode when using anonymous volumes");
  return { ...common, source, driver: volumeDriver, noCopy: options.copy !== "" };
}

function checkTarget(target: string, wrong: (why: string) => BerthError): string {
  const slashes = target.replaceAll("\\", "/");
  if (target !== "" && cleanPath(slashes) === "/") throw wrong("invalid specification: destination can't be '/'");
  if (!slashes.startsWith("/")) throw wrong(`invalid mount path: '${target}' mount path must be absolute`);
  return cleanPath(target);
}

const kinds = ["bind", "volume", "tmpfs", "image"] as const;

function parseMount(mount: MountSpec): MountRequest {
  const wrong = (why: string) => invalid(`invalid mount config for type "${mount.type}": ${why}`);
  if (mount.target === "") throw wrong("field Target must not be empty");
  const destination = checkTarget(mount.target, wrong);
  const kind = kinds.find((known) => known === mount.type);
  if (kind === undefined) throw wrong("mount type unknown");
  const common = { ...plain, kind, destination, readOnly: mount.readOnly };
  switch (kind) {
    case "bind":
      return { ...common, ...bindOf(mount, wrong) };
    case "tmpfs":
      if (mount.source !== "") throw wrong("field Source must not be specified");
      return { ...common, tmpfsOptions: tmpfsOptionsOf(mount, wrong) };
    case "volume":
      return { ...common, ...volumeOf(mount, wrong) };
    case "image":
      if (mount.source === "") throw wrong("field Source must not be empty");
      checkSubpath(mount.subpath, wrong);
      return {
        ...common,
        source: mount.source,
        subpath: mount.subpath,
        readOnly: true,
        image: { id: mount.imageId, layers: mount.imageLayers },
      };
  }
}

type Wrong = (why: string) => BerthError;

function bindOf(mount: MountSpec, wrong: Wrong): Partial<MountRequest> {
  const { source, propagation } = mount;
  if (source === "") throw wrong("field Source must not be empty");
  if (propagation !== "" && !propagations.includes(propagation))
    throw wrong(`invalid propagation mode: ${propagation}`);
  if (!source.startsWith("/")) throw wrong(`invalid mount path: '${source}' mount path must be absolute`);
  return {
    source: cleanPath(source),
    propagation,
    recursive: !mount.nonRecursive,
    readOnlyRecursion: mount.readOnlyNonRecursive ? "no" : mount.readOnlyForceRecursive ? "force" : "",
    createSource: mount.createMountpoint,
  };
}

/** Contradictions that Docker finds when the container starts, not before. @throws INTERNAL */
export function checkRecursion(mounts: readonly MountSpec[]): void {
  const conflict = (what: string) => failed(`mount options conflict: ${what}`);
  for (const { type, readOnly, readOnlyNonRecursive: no, readOnlyForceRecursive: force } of mounts) {
    if (type !== "bind") continue;
    if (!readOnly && no) throw conflict("!ReadOnly && BindOptions.ReadOnlyNonRecursive");
    if (!readOnly && force) throw conflict("!ReadOnly && BindOptions.ReadOnlyForceRecursive");
    if (no && force) throw conflict("ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive");
  }
}

function volumeOf(mount: MountSpec, wrong: Wrong): Partial<MountRequest> {
  const anonymous = mount.source === "";
  if (mount.subpath !== "" && anonymous) throw wrong("must not set Subpath when using anonymous volumes");
  checkSubpath(mount.subpath, wrong);
  if (mount.readOnly && anonymous) throw wrong("must not set ReadOnly mode when using anonymous volumes");
  const orNull = (map: Record<string, string>) => (Object.keys(map).length === 0 ? null : map);
  return {
    source: mount.source,
    subpath: mount.subpath,
    noCopy: mount.noCopy,
    driver: mount.driver,
    driverOptions: orNull(mount.driverOptions),
    labels: orNull(mount.labels),
  };
}

/** Below the volume's root, as far as its words go; links are looked at when it is mounted. */
function checkSubpath(subpath: string, wrong: Wrong): void {
  if (subpath === "") return;
  const clean = posix.normalize(subpath);
  if (subpath.startsWith("/") || clean === ".." || clean.startsWith("../") || subpath.includes("\0"))
    throw wrong("subpath must be a relative path within the volume");
}

function tmpfsOptionsOf(mount: MountSpec, wrong: Wrong): string[] {
  const options: string[] = mount.readOnly ? ["ro"] : [];
  if (mount.tmpfsMode !== 0) options.push(`mode=${mount.tmpfsMode.toString(8)}`);
  if (mount.tmpfsSize !== 0) options.push(`size=${shortSize(mount.tmpfsSize)}`);
  for (const flag of mount.tmpfsFlags) {
    const [word = ""] = flag.split("=");
    if (!["exec", "noexec"].includes(word)) throw wrong(`invalid option: ${word}`);
    options.push(flag);
  }
  return options;
}

function shortSize(bytes: number): string {
  const units = [
    [1 << 30, "g"],
    [1 << 20, "m"],
    [1 << 10, "k"],
  ] as const;
  const unit = units.find(([size]) => bytes % size === 0);
  return unit === undefined ? String(bytes) : `${bytes / unit[0]}${unit[1]}`;
}

/** @throws INVALID_ARGUMENT with Docker's texts */
export function checkVolumesFrom(text: string): { container: string; readOnly: boolean } {
  if (text === "") throw invalid("volumes-from specification cannot be an empty string");
  const colon = text.indexOf(":");
  const container = colon < 0 ? text : text.slice(0, colon);
  const mode = colon < 0 ? "" : text.slice(colon + 1);
  const read = readMode(mode);
  // How mounts spread and what is copied into them is the other container's affair.
  if (read === undefined || read.propagation !== "" || read.copy !== "") throw invalid(`invalid mode: ${mode}`);
  if (container === "") throw invalid('invalid name or ID supplied: ""');
  return { container, readOnly: read.access === "ro" };
}
