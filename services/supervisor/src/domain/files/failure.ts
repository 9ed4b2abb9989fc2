import { BerthError } from "@berth/errors";
import { isNativeError } from "@berth/isolation";

/** Nothing is under the path. The text is the Engine API's. */
const noSuchFile = (path: string, container: string): BerthError =>
  new BerthError("NOT_FOUND", `Could not find the file ${path} in container ${container}`);

const words: Record<string, string> = {
  ENOTDIR: "not a directory",
  ELOOP: "too many links",
  ENAMETOOLONG: "file name too long",
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EROFS: "read-only file system",
  ENOSPC: "no space left on device",
  EDQUOT: "disk quota exceeded",
};

const wordOf = (code: string, otherwise: string): string => words[code] ?? otherwise;

/** Why a path could not be looked at. */
export function lookFailure(error: unknown, path: string, container: string): unknown {
  if (!isNativeError(error)) return error;
  if (error.code === "ENOENT") return noSuchFile(path, container);
  const text =
    error.code === "ELOOP" ? `too many links in ${path}` : `lstat ${path}: ${wordOf(error.code, error.code)}`;
  return new BerthError("INTERNAL", text, {}, { cause: error });
}

/** Why an archive could not be unpacked: damaged archives in the words of Go's reader, the rest as that engine says it. */
export function unpackFailure(error: unknown, path: string, container: string): unknown {
  if (!isNativeError(error)) return error;
  const { code, syscall, detail } = error;
  if (code === "ECANCELED")
    return new BerthError("CANCELLED", "the archive was not sent to its end", {}, { cause: error });
  if (code === "EPROTO" && syscall === "http") return new BerthError("INTERNAL", detail, {}, { cause: error });
  if (code === "ENOENT") return noSuchFile(path, container);
  if (code === "EINVAL" && syscall === "")
    return new BerthError("INVALID_ARGUMENT", userFailure(detail), {}, { cause: error });
  if (code === "EBADMSG") return new BerthError("INTERNAL", damage(syscall, detail), {}, { cause: error });
  if (syscall === "untar" && detail !== "") return new BerthError("INTERNAL", detail, {}, { cause: error });
  const call = syscall === "unlinkat" ? "RemoveAll" : syscall;
  return new BerthError("INTERNAL", `${call} ${error.path}: ${wordOf(code, detail || code)}`, {}, { cause: error });
}

function userFailure(detail: string): string {
  const found = /^unable to find (user|group) (.*): (no matching entries in .* file)$/s.exec(detail);
  return found === null
    ? detail
    : `failed to look up ${found[1]} ${JSON.stringify(found[2])} in container: ${found[3]}`;
}

function damage(format: string, detail: string): string {
  if (detail.startsWith("unhandled tar header")) return detail;
  if (detail.includes("cut short") || format !== "tar") return "unexpected EOF";
  return "archive/tar: invalid tar header";
}
