const decimal = ["B", "kB", "MB", "GB", "TB", "PB"];
const binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function scaled(bytes: number, step: number, units: readonly string[], digits: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= step && unit < units.length - 1) {
    size /= step;
    unit += 1;
  }
  return `${Number(size.toPrecision(digits))}${units[unit]}`;
}

/** "4.98MB" */
export const size = (bytes: number): string => scaled(bytes, 1000, decimal, 3);
/** "23.54GiB" */
export const memory = (bytes: number): string => scaled(bytes, 1024, binary, 4);

/** "3 minutes" */
export function duration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 14) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 60) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 730) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(hours / 24 / 365)} years`;
}

export const ago = (unixSeconds: number): string => `${duration(Date.now() - unixSeconds * 1000)} ago`;
export const shortId = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);

/** Cuts to `width` characters, with an ellipsis. */
export function ellipsis(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}

/** "512m", "1g", "1.5gb" as bytes; undefined when it is not a size. */
export function parseBytes(text: string): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)i?b?$/i.exec(text.trim());
  if (match === null) return text === "-1" ? -1 : undefined;
  const power = ["", "k", "m", "g", "t", "p"].indexOf((match[2] ?? "").toLowerCase());
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

/** "1h30m", "10s", "500ms" as nanoseconds; undefined when it is not a duration. */
export function parseNanos(text: string): number | undefined {
  if (text === "0") return 0;
  const units: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
  let total = 0;
  let seen = 0;
  for (const [whole, number, unit = ""] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * (units[unit] ?? 0);
    seen += whole.length;
  }
  return seen === text.length && seen > 0 ? total : undefined;
}
