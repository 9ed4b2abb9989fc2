import type { HostConfigBody } from "./body.ts";

/** Far more than any client gives; what lies beyond is shown as null. */
const maxPaths = 256;
const maxDepth = 6;

/**
 * Where a body has lists and maps that are empty ("Dns", "PortBindings.80/tcp"): typed fields can't tell those from absent
 * ones, and inspect shows the one as [] and the other as null.
 */
export function emptyPaths(body: object): string[] {
  const found: string[] = [];
  const walk = (value: unknown, path: string, depth: number): void => {
    if (typeof value !== "object" || value === null || found.length >= maxPaths || depth > maxDepth) return;
    const entries = Object.entries(value);
    if (entries.length === 0 && path !== "") found.push(path);
    for (const [key, entry] of entries) walk(entry, path === "" ? key : `${path}.${key}`, depth + 1);
  };
  walk(body, "", 0);
  return found;
}

export function nullPortBindings({ PortBindings: bindings }: HostConfigBody): string[] {
  return Object.keys(bindings ?? {}).filter((port) => bindings?.[port] === null);
}
