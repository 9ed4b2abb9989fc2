import { errorMessage } from "@berth/errors";
import type { KV, KvWatchEntry } from "@nats-io/kv";
import { type Connection, sleep } from "./connection.ts";

const retryMs = 1_000;

/**
 * Tells of everything in a bucket and then of each change, until the connection is drained. Starts over behind every outage:
 * `begin` is called then, and what came meanwhile is in the bucket.
 */
export async function followBucket(
  connection: Connection,
  open: () => Promise<KV>,
  begin: () => void,
  told: (entry: KvWatchEntry) => void,
): Promise<void> {
  while (!connection.nats.isClosed()) {
    let stopListening: (() => void) | undefined;
    try {
      await connection.whenUp();
      const watch = await (await open()).watch();
      stopListening = connection.onChange((up) => {
        if (!up) watch.stop();
      });
      begin();
      for await (const entry of watch) told(entry);
    } catch (error) {
      connection.log.debug({ err: errorMessage(error) }, "following a bucket was interrupted");
    } finally {
      stopListening?.();
    }
    if (!connection.nats.isClosed()) await sleep(retryMs);
  }
}
