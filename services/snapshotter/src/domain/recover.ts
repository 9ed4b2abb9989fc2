import type { Catalog } from "./catalog.ts";
import { Directories } from "./directories.ts";
import type { Fault } from "./fault.ts";

/**
 * Makes directories and records agree, at start. Layers that were not known to be on the medium when the host went down are dropped;
 * their owners' records stay, and find them again once they are unpacked again (a chain id names the same content always).
 */
export async function recover(
  catalog: Catalog,
  base: string,
  bootId: string,
  fault: Fault,
  onError: (error: unknown) => void,
): Promise<Directories> {
  const torn = catalog
    .entries()
    .filter(([, { unsyncedBoot }]) => unsyncedBoot !== undefined && unsyncedBoot !== bootId);
  await catalog.write(torn.map(([key]) => ({ key, record: null })));
  const keep = new Map(catalog.entries().map(([, record]) => [record.dir, record]));
  const directories = await Directories.open(base, keep, fault, onError);
  // A committed layer without its directory can only be someone's hand at work; without the record it is unpacked again.
  const missing: string[] = [];
  for (const [key, record] of catalog.entries()) {
    if (record.kind === "committed" && !(await directories.has(record.dir))) missing.push(key);
  }
  if (missing.length > 0) await catalog.write(missing.map((key) => ({ key, record: null })));
  return directories;
}
