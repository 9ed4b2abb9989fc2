import { failed } from "../errors.ts";

export const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/** What the third part of -v says. Empty where it does not say. */
export interface BindMode {
  access: string;
  propagation: string;
  copy: string;
}

/** "ro", "rw", a propagation, "z"/"Z" (for hosts with SELinux), "nocopy", "cached" … each kind at most once; undefined: it is no mode. */
export function readMode(mode: string): BindMode | undefined {
  const found: Record<string, string> = {};
  for (const word of mode === "" ? [] : mode.split(",")) {
    const kind = kindOf(word);
    if (kind === undefined || Object.hasOwn(found, kind)) return undefined;
    found[kind] = word;
  }
  return { access: found["access"] ?? "", propagation: found["propagation"] ?? "", copy: found["copy"] ?? "" };
}

/** @throws INTERNAL: that is what clients get for it */
export function parseMode(mode: string): BindMode {
  const read = readMode(mode);
  if (read === undefined) throw failed(`invalid mode: ${mode}`);
  return read;
}

function kindOf(word: string): string | undefined {
  if (word === "ro" || word === "rw") return "access";
  if (propagations.includes(word)) return "propagation";
  if (word === "z" || word === "Z") return "label";
  if (word === "nocopy") return "copy";
  return ["consistent", "cached", "delegated"].includes(word) ? "consistency" : undefined;
}
