/** Points in time as RFC 3339 text with nanoseconds, which sort as text and keep what JavaScript's Date would drop. */

// The wall clock at start plus the monotonic clock since: nanoseconds, and never going back between two calls. The wall
// clock is read again when it was set (the two differ by more than a second).
let wallAtStart = BigInt(Date.now()) * 1_000_000n;
let monotonicAtStart = process.hrtime.bigint();

/** Nanoseconds since the epoch. */
export function nowNano(): bigint {
  const nano = wallAtStart + (process.hrtime.bigint() - monotonicAtStart);
  const wall = BigInt(Date.now()) * 1_000_000n;
  const drift = nano - wall;
  if (drift < 1_000_000_000n && drift > -1_000_000_000n) return nano;
  wallAtStart = wall;
  monotonicAtStart = process.hrtime.bigint();
  return wall;
}

export const now = (): string => fromNano(nowNano());

export function fromNano(nano: bigint): string {
  const seconds = nano / 1_000_000_000n;
  const rest = nano % 1_000_000_000n;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${rest.toString().padStart(9, "0")}Z`;
}

/** Nanoseconds since the epoch of RFC 3339 text in UTC; 0 for text that is none. */
export function toNano(text: string): bigint {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  const ms = match ? Date.parse(`${match[1]}Z`) : Number.NaN;
  if (Number.isNaN(ms)) return 0n;
  return BigInt(ms) * 1_000_000n + BigInt((match?.[2] ?? "").padEnd(9, "0"));
}
