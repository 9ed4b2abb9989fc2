/** A record of a container's log on its way to a log server. */
export interface Entry {
  stderr: boolean;
  /** ns since the epoch */
  time: bigint;
  /** Without the line's newline. */
  content: Buffer;
  /** A piece of a line longer than 16 KiB. */
  partial?: { id: string; ordinal: number; last: boolean };
}

/** A connection to a log server. Used by one caller at a time; `close` may come at any moment. */
export interface LogDriver {
  /**
   * Sends the entries in order; resolves when they are out of our hands (the server's, or with a protocol that does not tell,
   * the kernel's). Rejects when that failed: the same entries may be sent again, after {@link connect}.
   */
  send(entries: readonly Entry[]): Promise<void>;
  /** Makes the connection, anew if there was one. Rejects with Go's words for what failed, as Docker shows them. */
  connect(): Promise<void>;
  close(): void;
  /** ms before another attempt after `failures` ones; undefined: give the entries up. */
  retryDelay(failures: number): number | undefined;
}

/** Doubling from a tenth of a second to ten. */
export const backOff = (failures: number): number => Math.min(100 * 2 ** Math.min(failures - 1, 10), 10_000);
