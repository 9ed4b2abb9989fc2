import { UsageError } from "../flags.ts";

type Part =
  | string
  | { path: string[]; wrap: "text" | "json" | "upper" | "lower" | "println"; index: (string | number)[] };

/** The part of Go's templates that people type: {{.Names}}, {{.State.Pid}}, {{json .}}, {{index .List 0}}. */
export class Template {
  readonly #parts: Part[] = [];

  /** @throws UsageError for anything else between {{ and }} */
  constructor(text: string) {
    const plain = text.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
    let at = 0;
    for (const match of plain.matchAll(/\{\{-?\s*(.*?)\s*-?\}\}/gs)) {
      this.#parts.push(plain.slice(at, match.index));
      this.#parts.push(parseAction(match[1] ?? ""));
      at = match.index + match[0].length;
    }
    this.#parts.push(plain.slice(at));
    if (plain.slice(at).includes("{{")) throw new UsageError("template parsing error: unclosed action");
  }

  render(value: unknown): string {
    return this.#parts.map((part) => (typeof part === "string" ? part : renderPart(part, value))).join("");
  }
}

function parseAction(text: string): Exclude<Part, string> {
  const match = /^(?:(json|upper|lower|println)\s+)?(\.[A-Za-z0-9_.]*)$/.exec(text);
  if (match !== null) {
    const wrap = (match[1] ?? "text") as "text" | "json" | "upper" | "lower" | "println";
    return { path: pathOf(match[2] ?? "."), wrap, index: [] };
  }
  const index = /^index\s+(\.[A-Za-z0-9_.]*)((?:\s+(?:[0-9]+|"[^"]*"))+)$/.exec(text);
  if (index === null) {
    throw new UsageError(
      `template parsing error: "{{${text}}}" is not supported, expected {{.Field}}, {{json .Field}} or {{index .Field 0}}`,
    );
  }
  const keys = [...(index[2] ?? "").matchAll(/"([^"]*)"|([0-9]+)/g)].map(([, word, number]) => word ?? Number(number));
  return { path: pathOf(index[1] ?? "."), wrap: "text", index: keys };
}

function pathOf(text: string): string[] {
  return text.split(".").filter((name) => name !== "");
}

function renderPart({ path, wrap, index }: Exclude<Part, string>, value: unknown): string {
  let found: unknown = value;
  for (const name of path) {
    if (typeof found !== "object" || found === null || !(name in found)) {
      throw new UsageError(`template: can't evaluate field ${name}`);
    }
    found = (found as Record<string, unknown>)[name];
  }
  for (const key of index) found = (found as Record<string | number, unknown> | null | undefined)?.[key];
  if (wrap === "json") return JSON.stringify(found ?? null);
  const text = plainText(found);
  if (wrap === "upper") return text.toUpperCase();
  if (wrap === "lower") return text.toLowerCase();
  return text;
}

/** Values as Go prints them: lists in brackets, maps as map[a:b]. */
function plainText(value: unknown): string {
  if (value === null || value === undefined) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(plainText).join(" ")}]`;
  if (typeof value !== "object") return String(value as string | number | boolean);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, entry]) => `${key}:${plainText(entry)}`).join(" ")}]`;
}
