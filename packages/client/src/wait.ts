import { WaitCondition } from "@berth/api/containers";
import { BerthError, isBerthError } from "@berth/errors";
import type { Events } from "./events.ts";
import { given, type Link } from "./link.ts";
import type { CallOptions } from "./options.ts";

/** What is waited for: that it does not run, its next exit, or its removal. */
export type WaitFor = "not-running" | "next-exit" | "removed";

export interface Exit {
  exitCode: number;
  /** Why it could not be started; empty where it could. */
  error: string;
}

const conditions: Record<WaitFor, WaitCondition> = {
  "not-running": WaitCondition.NOT_RUNNING,
  "next-exit": WaitCondition.NEXT_EXIT,
  removed: WaitCondition.REMOVED,
};

/** ns; clocks of a client and a node differ by less. */
const clockSlack = 60_000_000_000n;

/**
 * Waits, over losses of the connection; `registered` is called once nothing that happens is missed.
 * @internal
 */
export async function waitForExit(
  { link, events }: { link: Link; events: Events },
  { container, condition }: { container: string; condition: WaitFor },
  registered: () => void,
  { signal, timeoutMs }: CallOptions,
): Promise<Exit> {
  const begun = BigInt(Date.now()) * 1_000_000n;
  const patience = link.patience();
  let lastExit: string | undefined;
  for (;;) {
    try {
      const request = { container, condition: conditions[condition], ...(lastExit !== undefined && { lastExit }) };
      for await (const answer of link.services.supervisor.wait(request, given({ signal, timeoutMs }))) {
        if (answer.exitCode !== undefined) return { exitCode: answer.exitCode, error: answer.error };
        lastExit = answer.lastExit;
        patience.renew();
        registered();
      }
      throw new BerthError("UNAVAILABLE", "the engine ended the wait without an exit code");
    } catch (error) {
      if (lastExit !== undefined && isBerthError(error) && error.reason === "NO_SUCH_CONTAINER")
        return exitOfRemoved(events, container, begun - clockSlack, error, signal);
      await patience.after(error, signal);
    }
  }
}

/** It has ended and was removed while nobody could be asked: what is known of it are its events. @throws `unknown` */
async function exitOfRemoved(
  events: Events,
  container: string,
  since: bigint,
  unknown: BerthError,
  signal: AbortSignal | undefined,
): Promise<Exit> {
  let exitCode: string | undefined;
  const filters = { container: [container], event: ["die"] };
  for await (const event of events.history({ since, types: ["container"], filters, signal }))
    exitCode = event.attributes["exitCode"];
  if (exitCode === undefined) throw unknown;
  return { exitCode: Number(exitCode), error: "" };
}
