import { LogOptionError } from "./values.ts";

/**
 * The part of Go's text/template that log tags use: text, fields and methods of the container, Docker's functions, pipelines
 * and parentheses. Blocks (if, range) are refused with a message.
 */

export type TemplateValue = string | number | readonly string[] | Readonly<Record<string, string>>;
export type TemplateData = Readonly<Record<string, TemplateValue>>;

type Token = { kind: "field" | "string" | "number" | "name" | "symbol"; text: string };
type Evaluate = (data: TemplateData) => TemplateValue;

const prefix = "template: log-tag:1";
const maxOutput = 64 * 1024;

/** Fills `template` in. @throws LogOptionError in Go's words */
export function renderTag(template: string, data: TemplateData): string {
  let out = "";
  let at = 0;
  let trimNext = false;
  const text = (piece: string): string => (trimNext ? piece.trimStart() : piece);
  for (;;) {
    const open = template.indexOf("{{", at);
    if (open < 0) return out + text(template.slice(at));
    let before = text(template.slice(at, open));
    const close = endOfAction(template, open + 2);
    let action = template.slice(open + 2, close);
    if (/^- /.test(action)) {
      before = before.trimEnd();
      action = action.slice(1);
    }
    out += before;
    trimNext = / -$/.test(action);
    if (trimNext) action = action.slice(0, -1);
    if (!/^\/\*.*\*\/$/s.test(action.trim())) out += print(new Parser(action, open + 2).parse()(data));
    if (out.length > maxOutput) throw new LogOptionError("log-tag: the tag is too long");
    at = close + 2;
  }
}

function endOfAction(template: string, from: number): number {
  let quote = "";
  for (let i = from; i < template.length; i++) {
    const letter = template[i] ?? "";
    if (quote !== "") {
      if (letter === "\\" && quote === '"') i++;
      else if (letter === quote) quote = "";
    } else if (letter === '"' || letter === "`") quote = letter;
    else if (letter === "}" && template[i + 1] === "}") return i;
  }
  throw new LogOptionError(`${prefix}: unclosed action`);
}

function print(value: TemplateValue): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return `[${value.join(" ")}]`;
  const pairs = Object.entries(value).map(([key, item]) => `${key}:${String(item)}`);
  return `map[${pairs.sort().join(" ")}]`;
}

const tokenPattern = /\s*(?:(\.[\w.]*)|"((?:[^"\\]|\\.)*)"|`([^`]*)`|(-?\d+)|([A-Za-z_]\w*)|([|()]))/y;

function tokensOf(action: string): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  const end = action.trimEnd().length;
  while (tokenPattern.lastIndex < end) {
    const at = tokenPattern.lastIndex;
    const match = tokenPattern.exec(action);
    if (match === null) {
      const letter = action.slice(at).trimStart()[0] ?? "";
      throw new LogOptionError(`${prefix}: unexpected ${JSON.stringify(letter)} in command`);
    }
    const [, field, quoted, raw, number, name, symbol] = match;
    if (field !== undefined) tokens.push({ kind: "field", text: field });
    else if (quoted !== undefined) tokens.push({ kind: "string", text: JSON.parse(`"${quoted}"`) as string });
    else if (raw !== undefined) tokens.push({ kind: "string", text: raw });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (name !== undefined) tokens.push({ kind: "name", text: name });
    else tokens.push({ kind: "symbol", text: symbol ?? "" });
  }
  return tokens;
}

class Parser {
  readonly #tokens: Token[];
  readonly #column: number;
  #at = 0;

  constructor(action: string, column: number) {
    this.#tokens = tokensOf(action);
    this.#column = column;
  }

  parse(): Evaluate {
    if (this.#tokens.length === 0) throw new LogOptionError(`${prefix}: missing value for command`);
    const value = this.#pipeline();
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) throw new LogOptionError(`${prefix}: unexpected ${JSON.stringify(rest.text)} in input`);
    return value;
  }

  #pipeline(): Evaluate {
    let value = this.#command(undefined);
    while (this.#tokens[this.#at]?.text === "|" && this.#tokens[this.#at]?.kind === "symbol") {
      this.#at++;
      value = this.#command(value);
    }
    return value;
  }

  #command(piped: Evaluate | undefined): Evaluate {
    const first = this.#tokens[this.#at];
    if (first?.kind !== "name") {
      if (piped !== undefined) throw new LogOptionError(`${prefix}: non executable command in pipeline stage 2`);
      return this.#operand();
    }
    this.#at++;
    const call = functions[first.text];
    if (call === undefined) throw new LogOptionError(`${prefix}: function ${JSON.stringify(first.text)} not defined`);
    const parameters: Evaluate[] = [];
    for (let next = this.#tokens[this.#at]; next !== undefined; next = this.#tokens[this.#at]) {
      if (next.kind === "symbol" && next.text !== "(") break;
      parameters.push(this.#operand());
    }
    if (piped !== undefined) parameters.push(piped);
    return (data) => call(parameters.map((parameter) => parameter(data)));
  }

  #operand(): Evaluate {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new LogOptionError(`${prefix}: missing value for command`);
    const { kind, text } = token;
    if (kind === "field") return this.#field(text);
    if (kind === "string") return () => text;
    if (kind === "number") return () => Number(text);
    if (kind === "symbol" && text === "(") {
      const inner = this.#pipeline();
      if (this.#tokens[this.#at++]?.text !== ")") throw new LogOptionError(`${prefix}: unclosed left paren`);
      return inner;
    }
    if (kind === "name" && functions[text] !== undefined) return () => functions[text]?.([]) ?? "";
    throw new LogOptionError(`${prefix}: unexpected ${JSON.stringify(text)} in operand`);
  }

  #field(path: string): Evaluate {
    const [name = "", ...keys] = path.slice(1).split(".");
    const where = `${prefix}:${this.#column}: executing "log-tag" at <${path}>`;
    return (data) => {
      if (name === "") throw new LogOptionError(`${where}: can't print the container as a whole`);
      let value = Object.hasOwn(data, name) ? data[name] : undefined;
      if (value === undefined) throw new LogOptionError(`${where}: can't evaluate field ${name} in type *logger.Info`);
      for (const key of keys) {
        if (typeof value !== "object" || Array.isArray(value))
          throw new LogOptionError(`${where}: can't evaluate field ${key} in type string`);
        const map = value as Record<string, string>;
        // Go prints what a map does not have as that; with a string's map it is "<no value>".
        value = Object.hasOwn(map, key) ? (map[key] ?? "") : "<no value>";
      }
      return value;
    };
  }
}

const text = (value: TemplateValue | undefined): string => (value === undefined ? "" : print(value));
const whole = (value: TemplateValue | undefined): number => Number(value ?? 0);

type Call = (parameters: readonly TemplateValue[]) => TemplateValue;

/** Docker's template functions, and of Go's own those that make sense in a tag. */
const functions: Record<string, Call | undefined> = {
  __proto__: null as never,
  json: ([value]) => JSON.stringify(value ?? null),
  split: ([value, separator]) => text(value).split(text(separator)),
  join: ([list, separator]) => (Array.isArray(list) ? list.join(text(separator)) : text(list)),
  title: ([value]) =>
    text(value).replace(/(^|\s)(\S)/g, (_, space: string, letter: string) => space + letter.toUpperCase()),
  lower: ([value]) => text(value).toLowerCase(),
  upper: ([value]) => text(value).toUpperCase(),
  pad: ([value, before, after]) =>
    text(value) === "" ? "" : " ".repeat(bounded(whole(before))) + text(value) + " ".repeat(bounded(whole(after))),
  truncate: ([value, length]) => text(value).slice(0, whole(length)),
  index: ([container, key]) => {
    if (Array.isArray(container)) return text(container[whole(key)]);
    const map = (container ?? {}) as Record<string, string>;
    return Object.hasOwn(map, text(key)) ? (map[text(key)] ?? "") : "";
  },
  slice: ([value, from, to]) => text(value).slice(whole(from), to === undefined ? undefined : whole(to)),
  len: ([value]) => (typeof value === "object" ? Object.keys(value).length : text(value).length),
  print: (values) => values.map(print).join(""),
  printf: ([format, ...values]) => {
    let next = 0;
    return text(format).replace(/%[%svdq]/g, (verb) => {
      if (verb === "%%") return "%";
      const value = text(values[next++]);
      return verb === "%q" ? JSON.stringify(value) : value;
    });
  },
};

const bounded = (count: number): number => Math.min(Math.max(count, 0), 1024);
