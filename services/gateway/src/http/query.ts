import { BerthError } from "@berth/errors";

/** A request's query, read as Docker reads it: the first value of a key counts, "0", "no", "false" and "none" are false. */
export class Query {
  readonly #values: URLSearchParams;

  constructor(text: string) {
    // Go's parser refuses semicolons, and so does Docker.
    if (text.includes(";")) throw new BerthError("INVALID_ARGUMENT", "invalid semicolon separator in query");
    this.#values = new URLSearchParams(text);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text(key: string): string {
    return this.#values.get(key) ?? "";
  }

  all(key: string): string[] {
    return this.#values.getAll(key);
  }

  flag(key: string, absent = false): boolean {
    const value = this.#values.get(key);
    if (value === null) return absent;
    const word = value.trim().toLowerCase();
    return !(word === "" || word === "0" || word === "no" || word === "false" || word === "none");
  }

  /** @throws INVALID_ARGUMENT in the words of Go's strconv, as Docker passes them on */
  integer(key: string): number | undefined {
    const value = this.text(key);
    if (value === "") return undefined;
    if (!/^[+-]?[0-9]{1,15}$/.test(value)) {
      throw new BerthError("INVALID_ARGUMENT", `strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`);
    }
    return Number(value);
  }

  /** The `filters` parameter; `allowed` are the keys that this call knows. */
  filters(allowed: readonly string[]): Filters {
    return parseFilters(this.text("filters"), allowed);
  }
}

export type Filters = ReadonlyMap<string, readonly string[]>;

/** bytes; a filter is a line a person types. */
const maxFilterText = 65_536;

/**
 * Reads filters in their two spellings, {"status":["running"]} and {"status":{"running":true}}.
 * @throws INVALID_ARGUMENT `invalid filter 'x'`
 */
export function parseFilters(text: string, allowed: readonly string[]): Filters {
  const result = new Map<string, string[]>();
  if (text === "") return result;
  const invalid = () => new BerthError("INVALID_ARGUMENT", "invalid filter");
  if (text.length > maxFilterText) throw invalid();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw invalid();
  }
  if (parsed === null) return result;
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw invalid();
  for (const [key, values] of Object.entries(parsed)) {
    if (!allowed.includes(key)) throw new BerthError("INVALID_ARGUMENT", `invalid filter '${key}'`);
    result.set(key, filterValues(values, invalid));
  }
  return result;
}

function filterValues(values: unknown, invalid: () => BerthError): string[] {
  if (Array.isArray(values)) {
    if (!values.every((value) => typeof value === "string")) throw invalid();
    return values;
  }
  if (typeof values !== "object" || values === null) throw invalid();
  return Object.entries(values)
    .filter(([, set]) => set === true)
    .map(([value]) => value);
}

/** A filter that is true or false, such as `dangling`; undefined when it is not given. */
export function filterFlag(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined || values.length === 0) return undefined;
  const isTrue = (value: string) => value === "1" || value === "true";
  const isFalse = (value: string) => value === "0" || value === "false";
  if (values.every(isTrue)) return true;
  if (values.every(isFalse)) return false;
  const shown = values.map((value) => value).join(" ");
  throw new BerthError("INVALID_ARGUMENT", `invalid filter '${key}=[${shown}]'`);
}
