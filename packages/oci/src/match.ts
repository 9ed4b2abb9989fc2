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
 * which Docker's filters document; so is the way: each star takes as little as it can, and is not asked again once what
 * follows it was found. A pattern of many stars takes no longer than one of few.
 */
function pathMatch(pattern: string, text: string): boolean {
  const pieces = compile(pattern);
  const chars = [...text];
  let at = 0;
  for (const [index, { tests, star }] of pieces.entries()) {
    const isLast = index === pieces.length - 1;
    const fits = (from: number) =>
      from + tests.length <= chars.length &&
      (!isLast || from + tests.length === chars.length) &&
      tests.every((test, offset) => test(chars[from + offset] ?? ""));
    let from = at;
    while (!fits(from)) {
      if (!star || from >= chars.length || chars[from] === "/") return false;
      from++;
    }
    at = from + tests.length;
  }
  return at === chars.length;
}

/** What has to fit one character after the other, behind a star or where the piece before has ended. */
interface Piece {
  star: boolean;
  tests: ((char: string) => boolean)[];
}

function compile(pattern: string): Piece[] {
  if (pattern.length > 1024) throw malformed();
  const chars = [...pattern];
  const pieces: Piece[] = [{ star: false, tests: [] }];
  for (let index = 0; index < chars.length; index++) {
    const char = chars[index] ?? "";
    const piece = pieces.at(-1) as Piece;
    if (char === "*") {
      if (piece.tests.length === 0) piece.star = true;
      else pieces.push({ star: true, tests: [] });
    } else if (char === "?") {
      piece.tests.push((found) => found !== "/");
    } else if (char === "[") {
      const [test, end] = compileSet(chars, index + 1);
      piece.tests.push(test);
      index = end;
    } else {
      const wanted = char === "\\" ? chars[++index] : char;
      if (wanted === undefined) throw malformed();
      piece.tests.push((found) => found === wanted);
    }
  }
  return pieces;
}

/** @returns what a character has to be and where the set's closing bracket stands */
function compileSet(chars: readonly string[], start: number): [test: (char: string) => boolean, end: number] {
  let index = start;
  const negated = chars[index] === "^";
  if (negated) index++;
  const ranges: [low: number, high: number][] = [];
  for (let first = true; ; first = false) {
    if (chars[index] === "]" && !first) break;
    const [low, afterLow] = setCharacter(chars, index);
    index = afterLow;
    let high = low;
    if (chars[index] === "-") [high, index] = setCharacter(chars, index + 1);
    ranges.push([low, high]);
  }
  return [
    (char) => {
      const code = char.codePointAt(0) ?? 0;
      return ranges.some(([low, high]) => code >= low && code <= high) !== negated;
    },
    index,
  ];
}

function setCharacter(chars: readonly string[], at: number): [code: number, next: number] {
  const char = chars[at];
  if (char === undefined || char === "-" || char === "]") throw malformed();
  const [wanted, next] = char === "\\" ? [chars[at + 1], at + 2] : [char, at + 1];
  const code = wanted?.codePointAt(0);
  if (code === undefined) throw malformed();
  return [code, next];
}

function malformed(): BerthError {
  return new BerthError("INVALID_ARGUMENT", "syntax error in pattern");
}
