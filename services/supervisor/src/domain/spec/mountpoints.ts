import { posix } from "node:path";
import { invalid, notBuilt } from "../errors.ts";
import type { HostConfig, MountPoint, MountSpec } from "../model.ts";

/** A bind, volume or tmpfs that the user (or the image, for volumes) asked for, parsed and checked. */
export interface MountRequest {
  kind: "bind" | "volume" | "tmpfs";
  source: string;
  destination: string;
  readOnly: boolean;
  /** "rprivate", "rshared", …; empty for volumes and tmpfs. */
  propagation: string;
  recursive: boolean;
  /** Make the source directory on the host when it is missing (-v does, --mount doesn't). */
  createSource: boolean;
  /** The mode as given, for inspect. */
  mode: string;
  /** Fill a new volume with what the image has there. */
  copyUp: boolean;
  tmpfsOptions: string[];
}

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/** All mounts of a container: --mount, -v, --tmpfs, the image's volumes. Throws INVALID_ARGUMENT with Docker's texts. */
export function parseMounts(host: HostConfig, volumes: readonly string[]): MountRequest[] {
  const found: MountRequest[] = [];
  const seen = new Set<string>();
  const add = (request: MountRequest) => {
    if (seen.has(request.destination)) throw invalid(`Duplicate mount point: ${request.destination}`);
    seen.add(request.destination);
    found.push(request);
  };
  for (const bind of host.binds) add(parseBind(bind));
  for (const mount of host.mounts) add(parseMount(mount));
  for (const [destination, options] of Object.entries(host.tmpfs)) add(parseTmpfs(destination, options));
  for (const volume of volumes) {
    const destination = checkDestination(volume, (why) => why);
    // What the user mounts at an image's volume takes its place.
    if (!seen.has(destination)) add(anonymousVolume(destination));
  }
  return found;
}

function anonymousVolume(destination: string): MountRequest {
  const common = { source: "", destination, readOnly: false, propagation: "", recursive: true, createSource: false };
  return { kind: "volume", ...common, mode: "", copyUp: true, tmpfsOptions: [] };
}

/** "/host:/container[:options]", "name:/container[:options]" or "/container". */
export function parseBind(text: string): MountRequest {
  const whole = `invalid volume specification: '${text}'`;
  const parts = text.split(":");
  if (text === "" || parts.length > 3 || parts.some((part) => part === "")) throw invalid(whole);
  const type = parts.length > 1 && parts[0]?.startsWith("/") ? "bind" : "volume";
  const why = (reason: string) => `${whole}: invalid mount config for type "${type}": ${reason}`;
  if (parts.length === 1) return anonymousVolume(checkDestination(text, why));
  const [source = "", target = "", mode = ""] = parts;
  const options = parseMode(mode);
  const destination = checkDestination(target, why);
  if (type === "volume") {
    if (source.includes("/")) {
      throw invalid(
        `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are ` +
          "allowed. If you intended to pass a host directory, use absolute path",
      );
    }
    throw notBuilt(`named volume "${source}"`);
  }
  return {
    kind: "bind",
    source: posix.normalize(source).replace(/(.)\/$/, "$1"),
    destination,
    mode,
    createSource: true,
    copyUp: false,
    recursive: true,
    tmpfsOptions: [],
    ...options,
  };
}

/** "ro", "rw", a propagation, "z"/"Z" (no SELinux: ignored), "nocopy", "consistent"… each at most once. */
function parseMode(mode: string): { readOnly: boolean; propagation: string } {
  let access: string | undefined;
  let propagation: string | undefined;
  const groups = new Set<string>();
  for (const word of mode === "" ? [] : mode.split(",")) {
    const group = groupOf(word);
    if (group === undefined || groups.has(group)) throw invalid(`invalid mode: ${mode}`);
    groups.add(group);
    if (group === "access") access = word;
    if (group === "propagation") propagation = word;
  }
  return { readOnly: access === "ro", propagation: propagation ?? "rprivate" };
}

function groupOf(word: string): string | undefined {
  if (word === "ro" || word === "rw") return "access";
  if (propagations.includes(word)) return "propagation";
  if (word === "z" || word === "Z") return "label";
  if (word === "nocopy") return "copy";
  if (["consistent", "cached", "delegated", "default"].includes(word)) return "consistency";
  return undefined;
}

function checkDestination(target: string, why: (reason: string) => string): string {
  if (!target.startsWith("/")) throw invalid(why(`invalid mount path: '${target}' mount path must be absolute`));
  const clean = posix.normalize(target).replace(/(.)\/$/, "$1");
  if (clean === "/") throw invalid(why("invalid specification: destination can't be '/'"));
  return clean;
}

function parseMount(mount: MountSpec): MountRequest {
  const { type } = mount;
  const wrong = (reason: string) => invalid(`invalid mount config for type "${type}": ${reason}`);
  if (!["bind", "tmpfs", "volume", "image", "npipe", "cluster"].includes(type)) throw wrong("mount type unknown");
  if (mount.target === "") throw wrong("field Target must not be empty");
  const destination = checkDestination(mount.target, (reason) => wrong(reason).message);
  const common = { destination, readOnly: mount.readOnly, mode: "", createSource: mount.createMountpoint };
  switch (type) {
    case "bind": {
      if (mount.source === "") throw wrong("field Source must not be empty");
      if (!mount.source.startsWith("/"))
        throw wrong(`invalid mount path: '${mount.source}' mount path must be absolute`);
      if (mount.propagation !== "" && !propagations.includes(mount.propagation)) {
        throw wrong(`invalid propagation mode: ${mount.propagation}`);
      }
      const source = posix.normalize(mount.source).replace(/(.)\/$/, "$1");
      const propagation = mount.propagation || "rprivate";
      return {
        kind: "bind",
        ...common,
        source,
        propagation,
        recursive: !mount.nonRecursive,
        copyUp: false,
        tmpfsOptions: [],
      };
    }
    case "tmpfs": {
      if (mount.source !== "") throw wrong("field Source must not be specified");
      if (mount.tmpfsSize < 0) throw wrong(`invalid tmpfs size: ${mount.tmpfsSize}`);
      const tmpfsOptions = [
        ...(mount.tmpfsSize > 0 ? [`size=${mount.tmpfsSize}`] : []),
        ...(mount.tmpfsMode > 0 ? [`mode=${mount.tmpfsMode.toString(8)}`] : []),
      ];
      return { kind: "tmpfs", ...common, source: "", propagation: "", recursive: true, copyUp: false, tmpfsOptions };
    }
    case "volume":
      if (mount.source !== "") throw notBuilt(`named volume "${mount.source}"`);
      if (mount.subpath !== "") throw notBuilt("a volume's subpath");
      return {
        kind: "volume",
        ...common,
        source: "",
        propagation: "",
        recursive: true,
        copyUp: !mount.noCopy,
        tmpfsOptions: [],
      };
    default:
      throw notBuilt(`mounts of type "${type}"`);
  }
}

/** tmpfs and generic words that --tmpfs takes; the others are refused as Docker does (at create here, at start there). */
const tmpfsWords = new Set([
  "ro",
  "rw",
  "suid",
  "nosuid",
  "dev",
  "nodev",
  "exec",
  "noexec",
  "sync",
  "async",
  "dirsync",
  "mand",
  "nomand",
  "atime",
  "noatime",
  "diratime",
  "nodiratime",
  "relatime",
  "norelatime",
  "strictatime",
  "nostrictatime",
  "bind",
  "rbind",
  "private",
  "rprivate",
  "shared",
  "rshared",
  "slave",
  "rslave",
  "unbindable",
  "runbindable",
  "remount",
  "defaults",
]);
const tmpfsKeys = new Set(["mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"]);

function parseTmpfs(target: string, text: string): MountRequest {
  const destination = checkDestination(target, (reason) => reason);
  const given = text === "" ? [] : text.split(",");
  for (const option of given) {
    const [key = "", value] = option.split("=", 2);
    if (value === undefined ? tmpfsWords.has(key) : tmpfsKeys.has(key)) continue;
    throw invalid(`invalid tmpfs option "${key}"`);
  }
  const common = {
    source: "",
    destination,
    propagation: "",
    recursive: true,
    createSource: false,
    mode: text,
    copyUp: true,
  };
  return { kind: "tmpfs", ...common, readOnly: given.includes("ro"), tmpfsOptions: given };
}

/** As inspect shows it. tmpfs made by --tmpfs is not among a container's mounts there. */
export function toMountPoint(request: MountRequest, volumeId: string): MountPoint {
  const { kind, source, destination, mode, readOnly, propagation } = request;
  const driver = kind === "volume" ? "local" : "";
  return { type: kind, name: volumeId, source, destination, driver, mode, rw: !readOnly, propagation };
}
