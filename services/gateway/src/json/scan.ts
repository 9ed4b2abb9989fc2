/**
 * A second look at JSON that could not be taken: what is wrong with it in the words of Go's encoding/json, which Docker
 * passes on, and how a number was written (a double does not keep "1e30" or twenty digits). Only runs after a failure;
 * JSON.parse does the work otherwise.
 */
export interface ScanResult {
  /** Go's words; undefined when the text is one well-formed value, with or without something after it. */
  error: string | undefined;
  /** The source of the number at the wanted place. */
  number: string | undefined;
}

/** Go's own bound for nesting. */
const maxDepth = 10_000;

/** @param wanted where a number is asked for, in the form of decode.ts: ".HostConfig.Ulimits.0.Soft" */
export function scan(text: string, wanted?: string): ScanResult {
  const scanner = new Scanner(text, wanted);
  try {
    scanner.value();
    return { error: undefined, number: scanner.number };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { error: error.message, number: scanner.number };
  }
}

/** One step of a path: "/" and "~" are escaped as in a JSON pointer. */
export function pathStep(key: string): string {
  return `.${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

class Malformed extends Error {}

const literals: Record<string, string> = { t: "true", f: "false", n: "null" };

interface Frame {
  isObject: boolean;
  path: string;
  index: number;
}

class Scanner {
  number: string | undefined;
  readonly #text: string;
  readonly #wanted: string | undefined;
  readonly #stack: Frame[] = [];
  #at = 0;

  constructor(text: string, wanted: string | undefined) {
    this.#text = text;
    this.#wanted = wanted;
  }

  /** Without recursion: the text is the client's, and so is its depth. */
  value(): void {
    let path = "";
    for (;;) {
      const opened = this.#begin(path);
      if (opened !== undefined) {
        if (this.#stack.length >= maxDepth) throw new Malformed("exceeded max depth");
        this.#stack.push(opened);
        const first = this.#first(opened);
        if (first !== undefined) {
          path = first;
          continue;
        }
      }
      const next = this.#next();
      if (next === undefined) return;
      path = next;
    }
  }

  /** Reads a scalar, or the bracket that opens something. */
  #begin(path: string): Frame | undefined {
    const character = this.#peek();
    if (character === "{" || character === "[") {
      this.#at += 1;
      return { isObject: character === "{", path, index: 0 };
    }
    if (character === '"') this.#string();
    else if (character === "-" || isDigit(character)) this.#number(path);
    else if (Object.hasOwn(literals, character)) this.#literal(literals[character] as string);
    else throw this.#unexpected("looking for beginning of value");
    return undefined;
  }

  /** The path of the first thing inside; undefined when it is empty and closed again. */
  #first(frame: Frame): string | undefined {
    const character = this.#peek();
    if (character === (frame.isObject ? "}" : "]")) {
      this.#at += 1;
      this.#stack.pop();
      return undefined;
    }
    return frame.isObject ? this.#key(frame) : `${frame.path}.0`;
  }

  /** What follows a value: the path of the next one, or undefined when the outermost has ended. */
  #next(): string | undefined {
    for (;;) {
      const frame = this.#stack.at(-1);
      if (frame === undefined) return undefined;
      const character = this.#peek();
      if (character === ",") {
        this.#at += 1;
        frame.index += 1;
        return frame.isObject ? this.#key(frame) : `${frame.path}.${frame.index}`;
      }
      if (character !== (frame.isObject ? "}" : "]")) {
        throw this.#unexpected(frame.isObject ? "after object key:value pair" : "after array element");
      }
      this.#at += 1;
      this.#stack.pop();
    }
  }

  #key(frame: Frame): string {
    if (this.#peek() !== '"') throw this.#unexpected("looking for beginning of object key string");
    const key = this.#string();
    if (this.#peek() !== ":") throw this.#unexpected("after object key");
    this.#at += 1;
    return frame.path + pathStep(key);
  }

  #string(): string {
    const start = this.#at;
    this.#at += 1;
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new Malformed("unexpected EOF");
      if (character === '"') break;
      if (character < " ") throw this.#unexpected("in string");
      this.#at += character === "\\" ? this.#escape() : 1;
    }
    this.#at += 1;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  /** How long the escape sequence here is. */
  #escape(): number {
    const kind = this.#text[this.#at + 1];
    if (kind === undefined) throw new Malformed("unexpected EOF");
    const length = kind === "u" ? 6 : 2;
    const sequence = this.#text.slice(this.#at, this.#at + length);
    const isGood = kind === "u" ? /^\\u[0-9a-fA-F]{4}$/.test(sequence) : '"\\/bfnrt'.includes(kind);
    if (isGood) return length;
    if (/^\\u[0-9a-fA-F]*$/.test(sequence) && sequence.length < length) throw new Malformed("unexpected EOF");
    throw new Malformed(`invalid escape sequence \`${sequence}\` in string`);
  }

  #number(path: string): void {
    const start = this.#at;
    if (this.#text[this.#at] === "-") this.#at += 1;
    if (this.#text[this.#at] === "0") this.#at += 1;
    else this.#digits();
    if (this.#text[this.#at] === ".") {
      this.#at += 1;
      this.#digits();
    }
    if (/[eE]/.test(this.#text[this.#at] ?? "")) {
      this.#at += 1;
      if (/[+-]/.test(this.#text[this.#at] ?? "")) this.#at += 1;
      this.#digits();
    }
    if (path === this.#wanted) this.number = this.#text.slice(start, this.#at);
  }

  #digits(): void {
    const start = this.#at;
    while (isDigit(this.#text[this.#at] ?? "")) this.#at += 1;
    if (this.#at > start) return;
    if (this.#at >= this.#text.length) throw new Malformed("unexpected EOF");
    throw this.#unexpected("in numeric literal");
  }

  #literal(word: string): void {
    for (const expected of word) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new Malformed("unexpected EOF");
      if (character !== expected) throw this.#unexpected(`in literal ${word} (expecting ${quoted(expected)})`);
      this.#at += 1;
    }
  }

  /** The next character that is no blank. */
  #peek(): string {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at += 1;
    const character = this.#text[this.#at];
    if (character === undefined) throw new Malformed("unexpected EOF");
    return character;
  }

  #unexpected(where: string): Malformed {
    const code = this.#text.codePointAt(this.#at) ?? 0;
    return new Malformed(`invalid character ${quoted(String.fromCodePoint(code))} ${where}`);
  }
}

const isDigit = (character: string): boolean => character >= "0" && character <= "9";

/** A character as Go's %q prints it. */
function quoted(character: string): string {
  const named: Record<string, string> = {
    "'": "\\'",
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
  };
  const code = character.codePointAt(0) ?? 0;
  const shown =
    named[character] ?? (code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, "0")}` : character);
  return `'${shown}'`;
}
