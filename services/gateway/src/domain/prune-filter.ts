import { BerthError } from "@berth/errors";
import { parseMoment } from "../http/moment.ts";
import type { Filters } from "../http/query.ts";
import { hasLabel } from "./labels.ts";

/** The `until` filter of the prunes, ms since the epoch; infinity without one. @throws INVALID_ARGUMENT with Docker's texts */
export function untilFilter(filters: Filters): number {
  const values = filters.get("until") ?? [];
  if (values.length > 1) throw new BerthError("INVALID_ARGUMENT", "more than one until filter specified");
  return values[0] === undefined ? Number.POSITIVE_INFINITY : parseMoment(values[0]) * 1000;
}

/** Whether labels pass `label` (all of them) and `label!` (none of them). */
export function passesLabels(labels: Readonly<Record<string, string>>, filters: Filters): boolean {
  const has = (filter: string) => hasLabel(labels, filter);
  return (filters.get("label") ?? []).every(has) && !(filters.get("label!") ?? []).some(has);
}
