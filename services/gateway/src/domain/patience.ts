import { setTimeout as pause } from "node:timers/promises";
import { isBerthError } from "@berth/errors";

/**
 * ms without a service after which a stream is given up. One that is restarted is back within 2 s, but one that dies again and again
 * is given longer and longer pauses by its launcher, and an upgrade may take a minute.
 */
const patienceMs = 120_000;
/** ms of the same for what has not begun: its client may as well be told. */
export const beginningMs = 5_000;
const retryMs = 100;

/** For a stream that is taken up again when the service behind it comes back. */
export class Patience {
  #lostAt: number | undefined;

  /** Something came: whatever is lost next is waited for anew. */
  renew(): void {
    this.#lostAt = undefined;
  }

  /** Resolves when it is time for another attempt. @throws `error`, when that is no loss of the service, or one for over `ms` */
  async after(error: unknown, signal: AbortSignal, ms = patienceMs): Promise<void> {
    if (!isBerthError(error) || error.reason !== "UNAVAILABLE") throw error;
    this.#lostAt ??= performance.now();
    if (performance.now() - this.#lostAt > ms) throw error;
    await pause(retryMs, undefined, { signal });
  }
}
