import { BerthError } from "@berth/errors";

/** Values of variables; undefined: not set. */
export type Lookup = (name: string) => string | undefined;

/** Splits at white space outside of quotes; quotes and escapes stay, for {@link expand}. */
export function splitWords(text: string): string[] {
  return text.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"?|'[^']*'?|\\$)+/gs) ?? [];
}

/** A word as the Dockerfile's shell reads it: quotes gone, escapes taken, `$a`, `${a}`, `${a:-b}` and `${a:+b}` replaced. */
export function expand(word: string, lookup: Lookup): string {
  const pattern = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|\$\{(\w+)(?::([-+])([^}]*))?\}|\$(\w+)/gs;
  return word.replace(pattern, (whole, single?: string, double?: string, ...rest: (string | undefined)[]) => {
    if (single !== undefined) return single;
    if (double !== undefined) return expandQuoted(double, lookup);
    const [escaped, braced, sign, other = "", plain] = rest;
    if (escaped !== undefined) return escaped;
    const name = braced ?? plain;
    return name === undefined ? whole : variable(lookup(name), sign, other, lookup);
  });
}

function expandQuoted(text: string, lookup: Lookup): string {
  const pattern = /\\(["\\$])|\$\{(\w+)(?::([-+])([^}]*))?\}|\$(\w+)/gs;
  return text.replace(
    pattern,
    (whole, escaped?: string, braced?: string, sign?: string, other = "", plain?: string) => {
      if (escaped !== undefined) return escaped;
      const name = braced ?? plain;
      return name === undefined ? whole : variable(lookup(name), sign, other, lookup);
    },
  );
}

function variable(value: string | undefined, sign: string | undefined, other: string, lookup: Lookup): string {
  if (sign === "-") return value ? value : expand(other, lookup);
  if (sign === "+") return value ? expand(other, lookup) : "";
  return value ?? "";
}

/** `a=b c="d e"`, or the old form `a b c` for one variable. @throws INVALID_ARGUMENT */
export function pairs(instruction: string, rest: string, lookup: Lookup): [string, string][] {
  const words = splitWords(rest);
  if (!words[0]?.includes("=")) {
    const space = rest.search(/\s/);
    if (space === -1) throw invalid(`${instruction} must have two arguments`);
    return [[expand(rest.slice(0, space), lookup), expand(rest.slice(space).trim(), lookup)]];
  }
  return words.map((word) => {
    const end = word.indexOf("=");
    if (end < 0)
      throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    const key = expand(word.slice(0, end), lookup);
    if (key === "") throw invalid(`${instruction} names can not be blank`);
    return [key, expand(word.slice(end + 1), lookup)];
  });
}

/** `["a","b"]`, or undefined for anything else: that is for a shell. */
export function jsonList(text: string): string[] | undefined {
  if (!text.startsWith("[")) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) && parsed.every((item) => typeof item === "string") ? parsed : undefined;
  } catch {
    return undefined;
  }
}

export function invalid(message: string): BerthError {
  return new BerthError("INVALID_ARGUMENT", message);
}
