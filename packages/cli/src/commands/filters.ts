import { UsageError } from "../flags.ts";

/** --filter key=value, several, as the API's JSON; undefined for none. @throws UsageError */
export function filterQuery(filters: readonly string[]): string | undefined {
  if (filters.length === 0) return undefined;
  const result: Record<string, string[]> = {};
  for (const filter of filters) {
    const [key = "", value] = filter.split(/=(.*)/s);
    if (value === undefined) throw new UsageError(`invalid filter "${filter}", expected key=value`);
    result[key.trim()] = [...(result[key.trim()] ?? []), value];
  }
  return JSON.stringify(result);
}
