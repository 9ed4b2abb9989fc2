/** A container's log files, formatted for the Engine API on their way to a client's own connection; see src/logs/format.h. */
import { type NativeLogSendOptions, native } from "./native.ts";

/**
 * `files`: stretches of log files, oldest first; `from` and `length` count in their plain form, and the descriptors stay the caller's.
 * `compact`: the monitor's own records instead of json-file's lines. `since`, `until`: RFC 3339 with nine digits of a second; "" for none.
 * `inbox`: the path of the socket that is made for the connection (src/stream/handover.h).
 */
export type LogSendOptions = NativeLogSendOptions;

/**
 * Sends them. `opened` resolves once the inbox is there (false: it could not be made, and `done` says why), `done` when everything has been
 * written. Errors of `done`: EPIPE or ECONNRESET when the client has gone, ECANCELED, EIO.
 */
export function sendLog(
  options: LogSendOptions,
  signal: AbortSignal,
): { opened: Promise<boolean>; done: Promise<void> } {
  signal.throwIfAborted();
  const send = new native.LogSend(options);
  const abort = () => send.abort();
  signal.addEventListener("abort", abort, { once: true });
  const { opened, done } = send.start();
  return { opened, done: done.finally(() => signal.removeEventListener("abort", abort)) };
}
