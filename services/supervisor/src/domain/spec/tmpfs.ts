import { failed } from "../errors.ts";

/** tmpfs and generic words that tmpfs mounts take; the others are refused at the start, as Docker does. */
const words = new Set([
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
const keys = new Set(["mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"]);

/** Docker's own words, then the user's; of two that contradict each other the last one holds. @throws INTERNAL */
export function tmpfsOptions(given: readonly string[]): string[] {
  for (const option of given) {
    const [key = "", value] = option.split("=", 2);
    if (!(value === undefined ? words.has(key) : keys.has(key)))
      throw failed(`invalid tmpfs option ${JSON.stringify(key)}`);
  }
  return withoutOverridden(["noexec", "nosuid", "nodev", ...given]);
}

/** The last of two words that contradict each other wins ("noexec" … "exec"). */
function withoutOverridden(options: readonly string[]): string[] {
  const subject = (option: string) =>
    option.includes("=") ? option.slice(0, option.indexOf("=")) : option.replace(/^no|^r(?=[ow]$)/, "");
  return options.filter((option, index) => {
    const later = options.slice(index + 1).map(subject);
    return !later.includes(subject(option));
  });
}
