import type { Field } from "./read.ts";

/** A value's text did not fit; `expected` completes "expected …". */
export class Mismatch extends Error {
  readonly expected: string;
  constructor(expected: string) {
    super(expected);
    this.expected = expected;
  }
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "250ms", "10s", "1h30m" or a bare number of milliseconds, to milliseconds. Undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (unitMs[unit ?? ""] ?? 0);
  }
  return total;
}

/** Parses one value by its field's type and bounds. Throws {@link Mismatch}. */
export function parseField(field: Field, text: string): string | number | boolean | readonly string[] {
  switch (field.type) {
    case "string":
      if (field.choices && !field.choices.includes(text)) throw new Mismatch(`one of ${field.choices.join(", ")}`);
      return text;
    case "number":
      return within(field, /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined, "a number");
    case "duration":
      return within(field, parseDuration(text), "a duration such as 250ms, 10s or 1h30m");
    case "boolean":
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      if (/^(0|false|no|off)$/i.test(text)) return false;
      throw new Mismatch("true or false");
    case "list":
      return splitList(text);
  }
}

export function splitList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function within(field: Field, value: number | undefined, what: string): number {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = field;
  if (value === undefined || !Number.isFinite(value)) throw new Mismatch(what);
  if (value < min || value > max) throw new Mismatch(`${what} between ${min} and ${max}`);
  return value;
}
