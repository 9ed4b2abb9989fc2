import { BerthError } from "@berth/errors";

const units: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};
const part = "(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)";
const durations = new RegExp(`^[+-]?(?:${part})+$`);

/** Seconds of a duration as Go reads it ("1h30m", "-5m", "1.5h"); undefined when it is none. */
export function parseGoDuration(text: string): number | undefined {
  if (text.length > 64 || !durations.test(text)) return undefined;
  let seconds = 0;
  for (const [, number, unit] of text.matchAll(/([0-9.]+)([a-zµμ]+)/g))
    seconds += Number(number) * (units[unit ?? ""] ?? 0);
  return text.startsWith("-") ? -seconds : seconds;
}

const timestamp = /^(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,9})?))?)?)?(Z|[+-]\d\d:\d\d)?$/i;

/**
 * A point in time as Docker's filters take it, in seconds since the epoch: a duration before now, a date with or without a time
 * (of the engine's own zone where none is named), or seconds since the epoch.
 * @throws INVALID_ARGUMENT
 */
export function parseMoment(text: string, now = Date.now()): number {
  const duration = text === "0" ? undefined : parseGoDuration(text);
  if (duration !== undefined) return Math.floor(now / 1000 - duration);
  const match = timestamp.exec(text);
  if (match !== null) {
    const [, date, hour = "00", minute = "00", second = "00", zone = ""] = match;
    const ms = Date.parse(`${date}T${hour}:${minute}:${second}${zone.toUpperCase()}`);
    if (!Number.isNaN(ms)) return ms / 1000;
  }
  if (/^[0-9]{1,15}(\.[0-9]*)?$/.test(text)) return Number(text);
  throw new BerthError("INVALID_ARGUMENT", `failed to parse value as time or duration: ${JSON.stringify(text)}`);
}
