import { errorMessage } from "@berth/errors";
import type { Parts } from "../containers/parts.ts";
import type { ImportRecord } from "../model.ts";
import { expectHere } from "./coming.ts";
import { settleSurely } from "./settle.ts";
import { resumeArrival, takeOver } from "./take-over.ts";

/** Before the sweep: what came only in part is forgotten, and so swept; the rest is held, and given back to be taken over. */
export async function recoverMoves(parts: Parts, imports: readonly ImportRecord[]): Promise<ImportRecord[]> {
  for (const { whole, record } of imports) if (!whole) await parts.records.commit({ delImport: record.id });
  const coming = imports.filter(({ whole }) => whole);
  for (const one of coming) expectHere(parts, one);
  for (const { record } of parts.registry.all()) {
    const { departure } = record;
    if (departure === undefined) continue;
    for (const volume of departure.volumes) parts.volumes.reserve(volume, `is being moved to node ${departure.toName}`);
  }
  return coming;
}

/** Brings the moves that a crash cut short to their ends, which no start waits for. */
export function resumeMoves(parts: Parts, coming: readonly ImportRecord[]): void {
  const log = (container: string) => (error: unknown) =>
    parts.log.warn({ container, err: errorMessage(error) }, "a move that was cut short has come to nothing");
  for (const one of coming) takeOver(parts, one).done.catch(log(one.record.id));
  for (const container of parts.registry.all()) {
    if (container.record.departure !== undefined) void settleSurely(parts, container).catch(log(container.id));
    if (container.record.arrival !== undefined) resumeArrival(parts, container).catch(log(container.id));
  }
}
