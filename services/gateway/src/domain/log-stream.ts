import type { LogPlace, LogsRequest, Supervisor } from "../rpc/types.ts";
import { beginningMs, Patience } from "./patience.ts";

/**
 * A container's log in pieces, over restarts of its supervisor: what an answer brought is not asked for again. The first piece of
 * a log that is followed is empty.
 * @throws what the supervisor throws; UNAVAILABLE when it stays away
 */
export async function* readLog(
  supervisorOf: () => Promise<Supervisor>,
  request: Partial<LogsRequest>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const patience = new Patience();
  let from: LogPlace | undefined;
  for (;;) {
    try {
      const supervisor = await supervisorOf();
      for await (const { data, place } of supervisor.logs({ ...request, from }, { signal })) {
        from = place;
        patience.renew();
        yield data;
      }
      return;
    } catch (error) {
      await patience.after(error, signal, from === undefined ? beginningMs : undefined);
    }
  }
}
