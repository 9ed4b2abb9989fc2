/** Timers know no longer ones: 24 days. */
const maxTimerMs = 2 ** 31 - 1;

/** False when the time, in ms, is over first, or called off by the signal; one that no timer can measure is never over. */
export async function within(done: Promise<unknown>, ms: number, signal?: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const giveUp = () => resolve(false);
  const timer = ms > maxTimerMs ? undefined : setTimeout(giveUp, ms);
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    return await Promise.race([done.then(() => true), promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}
