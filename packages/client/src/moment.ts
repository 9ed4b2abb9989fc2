/** A moment: a Date, or nanoseconds since the epoch. */
export type Moment = Date | bigint;

const nanosPerSecond = 1_000_000_000n;

export function timestampOf(moment: Moment | undefined): { seconds: number; nanos: number } | undefined {
  if (moment === undefined) return undefined;
  const nano = typeof moment === "bigint" ? moment : BigInt(moment.getTime()) * 1_000_000n;
  const seconds = nano / nanosPerSecond - (nano < 0n && nano % nanosPerSecond !== 0n ? 1n : 0n);
  return { seconds: Number(seconds), nanos: Number(nano - seconds * nanosPerSecond) };
}

/** ns since the epoch */
export const nanosOf = (time: { seconds: number; nanos: number } | undefined): bigint =>
  time === undefined ? 0n : BigInt(time.seconds) * nanosPerSecond + BigInt(time.nanos);
