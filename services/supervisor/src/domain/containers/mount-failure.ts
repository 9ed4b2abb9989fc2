import type { BerthError } from "@berth/errors";
import { invalid, notFound } from "../errors.ts";
import type { ContainerRecord } from "../model.ts";

export const hint =
  "Are you trying to mount a directory onto a file (or vice-versa)? " +
  "Check if the specified host path exists and is the expected type";

/** Docker's words for a mount that the runtime could not make; undefined: it was something else. */
export function mountFailure({ mounts }: ContainerRecord, message: string): BerthError | string | undefined {
  const subpath = /^subpath (.*): (.*)$/s.exec(message);
  if (subpath !== null) return subpathFailure(mounts, subpath[1] ?? "", subpath[2] ?? "");
  if (!message.startsWith("mount bind ") || !message.endsWith(": Not a directory")) return undefined;
  const point = mounts.find(({ destination }) => message.endsWith(` ${destination}: Not a directory`));
  if (point === undefined) return undefined;
  const { source, destination } = point;
  return (
    `error mounting ${JSON.stringify(source)} to rootfs at ${JSON.stringify(destination)}: ` +
    `mount src=${source}, dst=${destination}, flags=MS_BIND|MS_REC: not a directory: ${hint}`
  );
}

/** Docker looks for it before it asks a runtime. */
function subpathFailure(mounts: ContainerRecord["mounts"], subpath: string, why: string): BerthError {
  const base = mounts.find((point) => point.subpath === subpath)?.source ?? "";
  if (why === "Invalid cross-device link") {
    return invalid(`path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`);
  }
  const path = `${base}/${subpath}`;
  return notFound(`cannot access path ${path}: lstat ${path}: ${why.charAt(0).toLowerCase()}${why.slice(1)}`);
}
