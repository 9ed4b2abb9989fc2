import { BerthError } from "@berth/errors";

/** A request's query, read as Docker reads it: the first value of a key counts, "0", "no", "false" and "none" are false. */
export class Query {
  readonly #values: URLSearchParams;

  /** @throws INVALID_ARGUMENT in the words of Go's url.ParseQuery */
  constructor(text: string) {
    for (const piece of text.split("&")) {
      if (piece.includes(";")) throw invalid("invalid semicolon separator in query");
      const broken = /%(?![0-9a-fA-F]{2}).{0,2}/s.exec(piece)?.[0];
      if (broken !== undefined) throw invalid(`invalid URL escape ${JSON.stringify(broken)}`);
    }
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
    const problem = integerProblem(value);
    if (problem !== undefined) throw invalid(`strconv.Atoi: parsing ${JSON.stringify(value)}: ${problem}`);
    return Number(value);
  }

  /** The `filters` parameter; `allowed` are the keys that this call knows, all when it is left out. */
  filters(allowed?: readonly string[]): Filters {
    return parseFilters(this.text("filters"), allowed);
  }
}

/** What Go's strconv finds wrong with a decimal integer of 64 bits. */
export function integerProblem(text: string): "invalid syntax" | "value out of range" | undefined {
  if (!/^[+-]?[0-9]+$/.test(text)) return "invalid syntax";
  // Beyond sixteen digits no number here has a meaning; Go's bound is at nineteen.
  return text.replace(/^[+-]?0*/, "").length > 15 ? "value out of range" : undefined;
}

export type Filters = ReadonlyMap<string, readonly string[]>;

/** bytes; a filter is a line a person types. */
const maxFilterText = 65_536;

/**
 * Reads filters in their two spellings, {"status":["running"]} and {"status":{"running":true}}.
 * @throws INVALID_ARGUMENT `invalid filter 'x'`
 */
export function parseFilters(text: string, allowed?: readonly string[]): Filters {
  const result = new Map<string, string[]>();
  if (text === "") return result;
  const unreadable = () => invalid("invalid filter");
  if (text.length > maxFilterText) throw unreadable();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw unreadable();
  }
  if (parsed === null) return result;
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw unreadable();
  for (const [key, values] of Object.entries(parsed)) {
    if (allowed?.includes(key) === false) throw invalid(`invalid filter '${key}'`);
    result.set(key, filterValues(values, unreadable));
  }
  return result;
}

function filterValues(values: unknown, unreadable: () => BerthError): string[] {
  if (values === null) return [];
  if (Array.isArray(values)) {
    if (!values.every((value) => typeof value === "string")) throw unreadable();
    return [...new Set(values)];
  }
  if (typeof values !== "object") throw unreadable();
  return Object.entries(values)
    .filter(([, set]) => set === true)
    .map(([value]) => value);
}

/** A filter that is true or false, such as `dangling`; undefined when it is not given. */
export function filterFlag(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined) return undefined;
  const isTrue = values.includes("1") || values.includes("true");
  const isFalse = values.includes("0") || values.includes("false");
  if (isTrue === isFalse) throw invalid(`invalid filter '${key}=[${[...values].sort().join(" ")}]'`);
  return isTrue;
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
