import { invalid, jsonList } from "./words.ts";

/** The "Healthcheck" of an image's config; times in ns. */
export interface Healthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

const flags: Record<string, Exclude<keyof Healthcheck, "Test">> = {
  interval: "Interval",
  timeout: "Timeout",
  "start-period": "StartPeriod",
  "start-interval": "StartInterval",
  retries: "Retries",
};

/** Reads `[--interval=…] CMD command` or `NONE`. @throws INVALID_ARGUMENT in Docker's words */
export function parseHealthcheck(rest: string): Healthcheck {
  const check: Healthcheck = {};
  let left = rest;
  for (let match = flagAt(left); match !== null; match = flagAt(left)) {
    const [whole, name = "", value = ""] = match;
    left = left.slice(whole.length);
    const field = flags[name];
    if (field === undefined) throw invalid(`unknown flag: --${name}`);
    const number = field === "Retries" ? retries(value) : duration(name, value);
    if (number !== 0) check[field] = number;
  }
  const [, type = "", command = ""] = /^(\S+)\s*(.*)$/s.exec(left) ?? [];
  if (type === "") throw invalid("HEALTHCHECK requires at least one argument");
  switch (type.toUpperCase()) {
    case "NONE":
      if (command !== "") throw invalid("HEALTHCHECK NONE takes no arguments");
      return { Test: ["NONE"] };
    case "CMD": {
      if (command === "") throw invalid("Missing command after HEALTHCHECK CMD");
      const list = jsonList(command);
      return { Test: list === undefined ? ["CMD-SHELL", command] : ["CMD", ...list], ...check };
    }
    default:
      throw invalid(`Unknown type ${JSON.stringify(type.toUpperCase())} in HEALTHCHECK (try CMD)`);
  }
}

const flagAt = (text: string) => /^--([\w-]+)(?:=(\S*))?\s*/.exec(text);

function retries(value: string): number {
  if (value === "") return 0;
  if (!/^[+-]?\d+$/.test(value)) throw invalid(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (Number(value) < 0) throw invalid(`--retries cannot be negative (${Number(value)})`);
  return Number(value);
}

function duration(flag: string, value: string): number {
  if (value === "") return 0;
  const nanos = parseDuration(value);
  if (nanos === undefined) throw invalid(`time: invalid duration ${JSON.stringify(value)}`);
  if (nanos === 0) return 0;
  if (nanos < 1_000_000) throw invalid(`Interval ${JSON.stringify(flag)} cannot be less than 1ms`);
  return nanos;
}

const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** Go's time.ParseDuration, in ns: "1h30m", "1.5s", "0". */
export function parseDuration(text: string): number | undefined {
  const [, sign = "", body = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (body === "0") return 0;
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0;
  for (const [, number = "", unit = ""] of body.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(number) * (units[unit] ?? 0);
  }
  return sign === "-" ? -Math.round(total) : Math.round(total);
}
