/** Values of log options, read as Docker reads them and refused in its words (which are Go's). */
import { ramInBytes } from "@berth/config";
import { errorMessage } from "@berth/errors";

export class LogOptionError extends Error {}

const quote = (text: string): string => JSON.stringify(text);

/** "1", "t", "true" and so on. @throws LogOptionError */
export function parseBool(text: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw new LogOptionError(`strconv.ParseBool: parsing ${quote(text)}: invalid syntax`);
}

/** A whole number with an optional sign. @throws LogOptionError */
export function parseInteger(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new LogOptionError(`strconv.Atoi: parsing ${quote(text)}: invalid syntax`);
  if (!Number.isSafeInteger(Number(text)))
    throw new LogOptionError(`strconv.Atoi: parsing ${quote(text)}: value out of range`);
  return Number(text);
}

/** An unsigned number of at most `bits` bits. @throws LogOptionError */
export function parseUnsigned(text: string, bits: number): number {
  if (!/^\d+$/.test(text)) throw new LogOptionError(`strconv.ParseUint: parsing ${quote(text)}: invalid syntax`);
  if (Number(text) >= 2 ** bits)
    throw new LogOptionError(`strconv.ParseUint: parsing ${quote(text)}: value out of range`);
  return Number(text);
}

/** "10m", "512k", "1.5g", "1073741824" to bytes (powers of 1024). @throws LogOptionError `invalid size: 'x'` */
export function parseSize(text: string): number {
  try {
    return ramInBytes(text);
  } catch (error) {
    throw new LogOptionError(errorMessage(error));
  }
}

const unitMs: Record<string, number> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3 };

/** "1.5s", "100ms", "1h2m" to ms. @throws LogOptionError `time: invalid duration "x"` */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (!match) {
    if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text))
      throw new LogOptionError(`time: missing unit in duration ${quote(text)}`);
    throw new LogOptionError(`time: invalid duration ${quote(text)}`);
  }
  let total = 0;
  for (const [, number, unit] of (match[2] ?? "").matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
    total += Number(number) * (unitMs[unit ?? ""] ?? 0);
  return match[1] === "-" ? -total : total;
}
