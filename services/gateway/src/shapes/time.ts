import type { Timestamp } from "../rpc/types.ts";

/** What Go prints for a time that was never set. */
export const zeroTime = "0001-01-01T00:00:00Z";

/** RFC 3339 with nanoseconds, trailing zeros left out, in UTC: Go's RFC3339Nano. */
export function rfc3339(time: Timestamp | undefined): string {
  if (time === undefined || (time.seconds === 0 && time.nanos === 0)) return zeroTime;
  const seconds = new Date(time.seconds * 1000).toISOString().slice(0, 19);
  if (time.nanos === 0) return `${seconds}Z`;
  return `${seconds}.${String(time.nanos).padStart(9, "0").replace(/0+$/, "")}Z`;
}

export function toMillis(time: Timestamp | undefined): number {
  return time === undefined ? 0 : time.seconds * 1000 + time.nanos / 1e6;
}

/** A span in the words of `docker ps`: "Less than a second", "About a minute", "3 hours". */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  // Rounded, as Docker does, from here on.
  const hours = Math.trunc(seconds / 3600 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(hours / 24 / 365)} years`;
}

/**
 * A moment as clients give it: seconds since the epoch, with a fraction of up to nine digits.
 * @throws nothing: undefined when the text is not one
 */
export function parseUnixTime(text: string): Timestamp | undefined {
  const match = /^(-?[0-9]{1,12})(?:\.([0-9]{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  return { seconds: Number(match[1]), nanos: Number((match[2] ?? "").padEnd(9, "0")) };
}
