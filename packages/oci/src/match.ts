import { BerthError } from "@berth/errors";
import { familiarName, familiarString, type Reference } from "./reference.ts";

/**
 * Whether an image's reference matches a pattern of `docker images --filter reference=…`: the pattern may name the tag
 * or leave it out.
 * @throws INVALID_ARGUMENT for a malformed pattern
 */
export function matchReference(pattern: string, reference: Reference): boolean {
  return pathMatch(pattern, familiarString(reference)) || pathMatch(pattern, familiarName(reference));
}

/**
 * Shell patterns without crossing slashes: `*`, `?`, `[a-z]`, `[^a]`, backslash. The rules are those of Go's path.Match,
 * which Docker's filters document.
 */
export function pathMatch(pattern: string, text: string): boolean {
  return compile(pattern).test(text);
}

function compile(pattern: string): RegExp {
  if (pattern.length > 1024) throw malformed();
  let source = "";
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern.charAt(index);
    if (char === "*") {
      // Stars in a row mean one; left as they are they would make the expression slow.
      if (pattern.charAt(index - 1) !== "*" || index === 0) source += "[^/]*";
    } else if (char === "?") {
      source += "[^/]";
    } else if (char === "[") {
      const [set, end] = compileSet(pattern, index + 1);
      source += set;
      index = end;
    } else if (char === "\\") {
      index++;
      if (index === pattern.length) throw malformed();
      source += quote(pattern.charAt(index));
    } else {
      source += quote(char);
    }
  }
  return new RegExp(`^${source}$`, "u");
}

/** @returns the set as an expression and where its closing bracket stands */
function compileSet(pattern: string, start: number): [source: string, end: number] {
  let index = start;
  const negated = pattern.charAt(index) === "^";
  if (negated) index++;
  let source = "";
  for (let first = true; ; first = false) {
    const char = pattern.charAt(index);
    if (char === "") throw malformed();
    if (char === "]" && !first) break;
    const [low, afterLow] = setCharacter(pattern, index);
    index = afterLow;
    if (pattern.charAt(index) === "-") {
      const [high, afterHigh] = setCharacter(pattern, index + 1);
      index = afterHigh;
      if (low <= high) source += `${inSet(low)}-${inSet(high)}`;
    } else {
      source += inSet(low);
    }
  }
  if (source === "") return [negated ? "[^/]" : "(?!)", index];
  return [negated ? `[^${source}]` : `[${source}]`, index];
}

function setCharacter(pattern: string, at: number): [char: string, next: number] {
  const char = pattern.charAt(at);
  if (char === "" || char === "-" || char === "]") throw malformed();
  if (char !== "\\") return [char, at + 1];
  const escaped = pattern.charAt(at + 1);
  if (escaped === "") throw malformed();
  return [escaped, at + 2];
}

function quote(char: string): string {
  return /[\^$\\.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

/** A dash means something inside a set, and may be quoted nowhere else. */
function inSet(char: string): string {
  return char === "-" ? "\\-" : quote(char);
}

function malformed(): BerthError {
  return new BerthError("INVALID_ARGUMENT", "syntax error in pattern");
}
