import { errorMessage } from "@berth/errors";
import type { Parts } from "../containers/parts.ts";
import type { ImportRecord } from "../model.ts";
import { discardFiles } from "./erase.ts";

/** What it has here already is not to be swept, and its volumes' names are taken. */
export function expectHere(parts: Parts, { record, volumes }: ImportRecord): void {
  parts.registry.creating.add(record.id);
  for (const { name } of volumes)
    parts.volumes.reserve(name, `is being moved here from node ${record.arrival.fromName}`);
}

export function forgetComing(parts: Parts, { record, volumes }: ImportRecord): void {
  parts.registry.creating.delete(record.id);
  for (const { name } of volumes) parts.volumes.unreserve(name);
}

/** Takes back whatever was made. What fails here is swept at the next start. */
export async function drop(parts: Parts, coming: ImportRecord): Promise<void> {
  const { record, volumes } = coming;
  await parts.records.commit({ delImport: record.id }).catch((error: unknown) => {
    parts.log.warn({ container: record.id, err: errorMessage(error) }, "a container that did not come will be swept");
  });
  await discardFiles(
    parts,
    record,
    volumes.map(({ name }) => name),
  );
  forgetComing(parts, coming);
}
