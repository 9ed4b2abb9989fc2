import { BerthError } from "@berth/errors";

/**
 * Readers of request bodies. JSON is taken as Go's encoding/json takes it, because that is what Docker's clients were
 * written against: field names in any case, null for "not given", unknown fields ignored, wrong types refused with
 * Go's words ("json: cannot unmarshal number into Go struct field .Image of type string").
 */
export interface Decoder<T> {
  /** Go's name for the type, part of the messages. */
  readonly go: string;
  /** Sees null itself, instead of a zero value, inside a map. */
  readonly takesNull?: true;
  read(value: unknown, field: string): T;
}

export type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** Parses text and reads it. @throws INVALID_ARGUMENT `invalid JSON: …` */
export function parseJson<T>(text: string, decoder: Decoder<T>): T {
  if (text.trim() === "") throw invalid("invalid JSON: got EOF while reading request body");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(syntaxMessage(error as SyntaxError));
  }
  return decoder.read(value, "");
}

function syntaxMessage({ message }: SyntaxError): string {
  if (message.startsWith("Unexpected non-whitespace character after JSON")) return "unexpected content after JSON";
  if (message.includes("end of JSON input") || message.startsWith("Expected property name or '}'")) {
    const isEnd = message.includes("end of JSON") || /position \d+ \(line \d+ column \d+\)$/.test(message);
    if (isEnd) return "invalid JSON: unexpected EOF";
  }
  const token = /^Unexpected token '(.+?)'/s.exec(message)?.[1];
  if (token !== undefined) return `invalid JSON: invalid character '${token}' looking for beginning of value`;
  return `invalid JSON: ${message}`;
}

export const text: Decoder<string> = {
  go: "string",
  read: (value, field) => (typeof value === "string" ? value : mismatch(value, field, "string")),
};

export const flag: Decoder<boolean> = {
  go: "bool",
  read: (value, field) => (typeof value === "boolean" ? value : mismatch(value, field, "bool")),
};

export const int64 = integer("int64", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
export const int = integer("int", -(2 ** 31), 2 ** 31 - 1);
export const uint16 = integer("uint16", 0, 65_535);
export const uint = integer("uint", 0, 2 ** 32 - 1);
export const uint64 = integer("uint64", 0, Number.MAX_SAFE_INTEGER);

function integer(go: string, min: number, max: number): Decoder<number> {
  return {
    go,
    read(value, field) {
      if (typeof value !== "number") return mismatch(value, field, go);
      if (!Number.isInteger(value)) return mismatch(value, field, go, `number ${value}`);
      // 64-bit values beyond a double's exact integers only ever mean "no limit".
      if (Math.abs(value) > Number.MAX_SAFE_INTEGER && go.endsWith("64") && Math.abs(value) < 2 ** 64) {
        return Math.max(min, Math.min(max, value));
      }
      return value < min || value > max ? mismatch(value, field, go, `number ${value}`) : value;
    },
  };
}

export function list<T>(item: Decoder<T>): Decoder<T[]> {
  const go = `[]${item.go}`;
  return {
    go,
    read(value, field) {
      if (!Array.isArray(value)) return mismatch(value, field, go);
      return value.filter((entry) => entry !== null).map((entry) => item.read(entry, field));
    },
  };
}

export function map<T>(item: Decoder<T>): Decoder<Record<string, T>> {
  const go = `map[string]${item.go}`;
  return {
    go,
    read(value, field) {
      if (!isObject(value)) return mismatch(value, field, go);
      const result: Record<string, T> = Object.create(null) as Record<string, T>;
      for (const [key, entry] of Object.entries(value)) {
        result[key] = item.read(
          entry === null && item.takesNull !== true ? zeroOf(item) : entry,
          field === "" ? `.${key}` : `${field}.${key}`,
        );
      }
      return result;
    },
  };
}

/** A map whose values carry nothing: Docker's sets ({"80/tcp": {}}). */
export function set(): Decoder<string[]> {
  return {
    go: "map[string]struct {}",
    read(value, field) {
      if (!isObject(value)) return mismatch(value, field, "map[string]struct {}");
      return Object.keys(value);
    },
  };
}

/** A list of words, or one word alone (Docker's StrSlice). */
export const words: Decoder<string[]> = {
  go: "[]string",
  read: (value, field) => (typeof value === "string" ? [value] : list(text).read(value, field)),
};

/** Absent and null are undefined; everything else is kept for those that look closer. */
export function nullable<T>(item: Decoder<T>): Decoder<T | null> {
  return { go: item.go, takesNull: true, read: (value, field) => (value === null ? null : item.read(value, field)) };
}

type Fields = Record<string, Decoder<unknown>>;
export type Struct<F extends Fields> = { [K in keyof F]: Decoded<F[K]> | undefined };

/** An object with known fields. `go` is the type's name in messages. */
export function struct<F extends Fields>(go: string, fields: F): Decoder<Struct<F>> {
  const byLowerCase = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  return {
    go,
    read(value, field) {
      if (!isObject(value)) return mismatch(value, field, go);
      const result: Record<string, unknown> = {};
      for (const [key, entry] of Object.entries(value)) {
        const name = Object.hasOwn(fields, key) ? key : byLowerCase.get(key.toLowerCase());
        const decoder = name === undefined ? undefined : fields[name];
        if (name === undefined || decoder === undefined || entry === undefined) continue;
        if (entry !== null) result[name] = decoder.read(entry, `${field}.${name}`);
      }
      return result as Struct<F>;
    },
  };
}

function zeroOf(decoder: Decoder<unknown>): unknown {
  if (decoder.go === "string") return "";
  if (decoder.go === "bool") return false;
  if (decoder.go.startsWith("[]")) return [];
  return decoder.go.startsWith("int") || decoder.go.startsWith("uint") ? 0 : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return value === null ? "null" : typeof value;
}

function mismatch(value: unknown, field: string, go: string, kind = kindOf(value)): never {
  const where = field === "" ? `Go value of type ${go}` : `Go struct field ${field} of type ${go}`;
  throw invalid(`invalid JSON: json: cannot unmarshal ${kind} into ${where}`);
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
