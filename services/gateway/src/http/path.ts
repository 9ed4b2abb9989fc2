import { posix } from "node:path";

/** A request's path: as it should be written, to be asked for under another spelling, or not decodable. */
export type CleanPath = { kind: "clean" | "moved"; path: string } | { kind: "broken" };

/**
 * Empty segments, "." and ".." are not part of any path here: as Docker's router does it, such a request is sent to the
 * same place without them. The path stays percent-encoded; "%2e%2e" counts as "..".
 */
export function cleanPath(path: string): CleanPath {
  // Nearly every path: nothing in it that could be another spelling.
  if (path.startsWith("/") && !/%|\/\/|\/\./.test(path)) return { kind: "clean", path };
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return /%(?![0-9a-fA-F]{2})/.test(path) ? { kind: "broken" } : { kind: "clean", path };
  }
  const absolute = posix.normalize(decoded.startsWith("/") ? decoded : `/${decoded}`);
  if (absolute === decoded) return { kind: "clean", path };
  return {
    kind: "moved",
    path: encodeURI(absolute).replace(/[?#*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
  };
}
