import { RE2JS } from "re2js";

/** characters; what a person types */
const maxPattern = 1024;

/**
 * A caller's regular expression, read as Go reads it and matched in time linear in the text: JavaScript's own can take years
 * for thirty characters, and nothing else happens meanwhile. Matches anywhere in the text.
 * @throws Error in Go's words, "error parsing regexp: …"
 */
export function compilePattern(pattern: string): (text: string) => boolean {
  if (pattern.length > maxPattern) throw new Error("error parsing regexp: expression too large");
  const expression = RE2JS.compile(pattern);
  return (text) => expression.matcher(text).find();
}

/** Text that is given as it is or matched by an expression; one that can't be compiled matches itself alone. */
export function textOrPattern(value: string): (text: string) => boolean {
  let matches: (text: string) => boolean;
  try {
    // Nearly every value is a name: what has no meaning in an expression is looked for as it is.
    matches = /^[\w/@:,=-]*$/.test(value) ? (text) => text.includes(value) : compilePattern(value);
  } catch {
    return (text) => text === value;
  }
  return (text) => text === value || matches(text);
}
