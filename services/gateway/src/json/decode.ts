import { BerthError } from "@berth/errors";
import { pathStep, scan } from "./scan.ts";

/**
 * Readers of request bodies. JSON is taken as Go's encoding/json takes it, because that is what Docker's clients were
 * written against: field names in any case, null for "not given", unknown fields ignored, wrong types refused with
 * Go's words ("json: cannot unmarshal number into Go struct field .Image of type string").
 */
export interface Decoder<T> {
  /** Go's name for the type, part of the messages. */
  readonly go: string;
  /** What Go's zero value looks like in JSON: null inside a list or a map stands for it. */
  readonly zero?: unknown;
  /** Sees null itself, instead of a zero value, inside a map. */
  readonly takesNull?: true;
  /** @param path where the value stands: ".HostConfig.Ulimits.0" */
  read(value: unknown, path: string): T;
}

export type Decoded<D> = D extends Decoder<infer T> ? T : never;

/** Parses text and reads it. @throws INVALID_ARGUMENT `invalid JSON: …` */
export function parseJson<T>(text: string, decoder: Decoder<T>): T {
  if (text.trim() === "") throw invalid("invalid JSON: got EOF while reading request body");
  try {
    return decoder.read(JSON.parse(text), "");
  } catch (error) {
    if (error instanceof Mismatch) throw invalid(`invalid JSON: ${error.explain(text, rootName(decoder))}`);
    // Go reads one value, and looks for more only when it could be taken.
    if (error instanceof SyntaxError) throw afterSyntaxError(text, decoder);
    throw error;
  }
}

function afterSyntaxError<T>(text: string, decoder: Decoder<T>): BerthError {
  const problem = scan(text).error;
  if (problem !== undefined) return invalid(`invalid JSON: ${problem}`);
  const first = /^\s*(?:[{["]|[^\s,{}[\]"]+)/.exec(text)?.[0].trim() ?? "";
  if (first !== "" && !'{["'.includes(first)) {
    try {
      decoder.read(JSON.parse(first), "");
    } catch (error) {
      if (error instanceof Mismatch) return invalid(`invalid JSON: ${error.explain(first, rootName(decoder))}`);
    }
  }
  return invalid("unexpected content after JSON");
}

/** Wrong for its place. Worded at the end, when the whole text is at hand. */
class Mismatch extends Error {
  readonly #kind: string;
  readonly #path: string;
  readonly #go: string;
  readonly #whole: boolean;

  constructor(kind: string, path: string, go: string, whole: boolean) {
    super("mismatch");
    this.#kind = kind;
    this.#path = path;
    this.#go = go;
    this.#whole = whole;
  }

  explain(text: string, root: string): string {
    const kind = this.#kind === "number!" ? `number ${scan(text, this.#path).number ?? ""}` : this.#kind;
    return `json: cannot unmarshal ${kind} into ${this.#where(root)} of type ${this.#go}`;
  }

  #where(root: string): string {
    if (this.#path === "" || this.#whole) return "Go value";
    return /\.[0-9]+$/.test(this.#path) ? `${root}${this.#path}` : `Go struct field ${root}${this.#path}`;
  }
}

/** Go names the outermost struct in front of the field, unless what it holds is embedded in it. */
function rootName(decoder: Decoder<unknown>): string {
  const name = decoder.go.slice(decoder.go.lastIndexOf(".") + 1);
  return embedding.has(decoder.go) ? "" : name;
}

/** Bodies whose fields are another struct's, embedded, or that are read through a pointer. */
const embedding = new Set(["container.CreateRequest", "container.CommitRequest", "registry.AuthConfig"]);

export const text: Decoder<string> = {
  go: "string",
  zero: "",
  read: (value, path) => (typeof value === "string" ? value : mismatch(value, path, "string")),
};

export const flag: Decoder<boolean> = {
  go: "bool",
  zero: false,
  read: (value, path) => (typeof value === "boolean" ? value : mismatch(value, path, "bool")),
};

/** The same values under a type's own name ("mount.Type" is a string). */
export function named<T>(go: string, decoder: Decoder<T>): Decoder<T> {
  return { ...decoder, go, read: (value, path) => renamed(() => decoder.read(value, path), value, path, go) };
}

function renamed<T>(read: () => T, value: unknown, path: string, go: string): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Mismatch) return mismatch(value, path, go);
    throw error;
  }
}

export const int64 = integer("int64", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
export const int = integer("int", -(2 ** 31), 2 ** 31 - 1);
export const uint16 = integer("uint16", 0, 65_535);
export const uint = integer("uint", 0, 2 ** 32 - 1);
export const uint64 = integer("uint64", 0, Number.MAX_SAFE_INTEGER);

function integer(go: string, min: number, max: number): Decoder<number> {
  return {
    go,
    zero: 0,
    read(value, path) {
      if (typeof value !== "number") return mismatch(value, path, go);
      if (!Number.isInteger(value)) throw new Mismatch("number!", path, go, false);
      // 64-bit values beyond a double's exact integers only ever mean "no limit".
      if (Math.abs(value) > Number.MAX_SAFE_INTEGER && go.endsWith("64") && Math.abs(value) <= 2 ** 63) {
        return Math.max(min, Math.min(max, value));
      }
      if (value < min || value > max) throw new Mismatch("number!", path, go, false);
      return value;
    },
  };
}

export function list<T>(item: Decoder<T>): Decoder<T[]> {
  const go = `[]${item.go}`;
  return {
    go,
    zero: [],
    read(value, path) {
      if (!Array.isArray(value)) return mismatch(value, path, go);
      return value.map((entry, index) => item.read(entry ?? item.zero, `${path}.${index}`));
    },
  };
}

export function map<T>(item: Decoder<T>): Decoder<Record<string, T>> {
  const go = `map[string]${item.go}`;
  return {
    go,
    zero: {},
    read(value, path) {
      if (!isObject(value)) return mismatch(value, path, go);
      const result: Record<string, T> = Object.create(null) as Record<string, T>;
      for (const [key, entry] of Object.entries(value)) {
        result[key] = item.read(entry === null && item.takesNull !== true ? item.zero : entry, path + pathStep(key));
      }
      return result;
    },
  };
}

/** A map whose values carry nothing: Docker's sets ({"80/tcp": {}}). */
export function set(go = "map[string]struct {}"): Decoder<string[]> {
  return {
    go,
    zero: {},
    read(value, path) {
      if (!isObject(value)) return mismatch(value, path, go);
      for (const [key, entry] of Object.entries(value)) {
        if (entry !== null && !isObject(entry)) mismatch(entry, path + pathStep(key), "struct {}");
      }
      return Object.keys(value);
    },
  };
}

/** A list of words, or one word alone (Docker's StrSlice, which does not say where it stood). */
export const words: Decoder<string[]> = {
  go: "[]string",
  zero: [],
  read(value, path) {
    if (typeof value === "string") return [value];
    if (!Array.isArray(value) || !value.every((word) => typeof word === "string" || word === null)) {
      throw new Mismatch(kindOf(value), path, "string", true);
    }
    return value.map((word: string | null) => word ?? "");
  },
};

/** Absent and null are undefined; everything else is kept for those that look closer. */
export function nullable<T>(item: Decoder<T>): Decoder<T | null> {
  return { ...item, takesNull: true, read: (value, path) => (value === null ? null : item.read(value, path)) };
}

type Fields = Record<string, Decoder<unknown>>;
export type Struct<F extends Fields> = { [K in keyof F]: Decoded<F[K]> | undefined };

/** An object with known fields. `go` is the type's name in messages. */
export function struct<F extends Fields>(go: string, fields: F): Decoder<Struct<F>> {
  const byLowerCase = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  return {
    go,
    zero: {},
    read(value, path) {
      if (!isObject(value)) return mismatch(value, path, go);
      const result: Record<string, unknown> = {};
      for (const [key, entry] of Object.entries(value)) {
        const name = Object.hasOwn(fields, key) ? key : byLowerCase.get(key.toLowerCase());
        const decoder = name === undefined ? undefined : fields[name];
        if (name === undefined || decoder === undefined || entry === undefined) continue;
        // The client's own spelling of the name, as Go tells it.
        if (entry !== null) result[name] = decoder.read(entry, path + pathStep(key));
      }
      return result as Struct<F>;
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return value === null ? "null" : typeof value;
}

function mismatch(value: unknown, path: string, go: string): never {
  throw new Mismatch(kindOf(value), path, go, false);
}

function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
