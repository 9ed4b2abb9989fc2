import { BerthError, isBerthError } from "@berth/errors";
import type { Supervisor, WaitCondition } from "../rpc/types.ts";
import type { Containers } from "./containers.ts";
import type { EventFeed } from "./events.ts";
import { beginningMs, Patience } from "./patience.ts";

export interface Exit {
  exitCode: number;
  error: string;
}

export interface WaitParts {
  containers: Pick<Containers, "supervisorOf">;
  feed: Pick<EventFeed, "read">;
}

/** ns; clocks of a gateway and a node differ by less. */
const clockSlack = 60_000_000_000n;
/** ns that events may take to be published. */
const eventDelay = 5_000_000_000n;
const now = () => BigInt(Date.now()) * 1_000_000n;

/**
 * Waits for a container's end, over restarts of its supervisor. Calls `registered` once the supervisor has the wait.
 * @throws what the supervisor throws; UNAVAILABLE when it stays away
 */
export async function waitForExit(
  { containers, feed }: WaitParts,
  { container, condition }: { container: string; condition: WaitCondition },
  registered: () => void,
  signal: AbortSignal,
): Promise<Exit> {
  const patience = new Patience();
  const begun = now();
  let lastExit: string | undefined;
  for (;;) {
    try {
      const supervisor: Supervisor = await containers.supervisorOf(container, signal);
      for await (const answer of supervisor.wait({ container, condition, lastExit }, { signal })) {
        if (answer.exitCode !== undefined) return { exitCode: answer.exitCode, error: answer.error };
        lastExit = answer.lastExit;
        patience.renew();
        registered();
      }
      throw new BerthError("UNAVAILABLE", "the supervisor ended the wait without an exit code");
    } catch (error) {
      const isRegistered = lastExit !== undefined;
      if (isRegistered && isBerthError(error) && error.reason === "NO_SUCH_CONTAINER")
        return await exitOfRemoved(feed, container, begun - clockSlack, error, signal);
      await patience.after(error, signal, isRegistered ? undefined : beginningMs);
    }
  }
}

/** It has ended and was removed while nobody could be asked: what is known of it are its events. @throws `unknown` */
async function exitOfRemoved(
  feed: WaitParts["feed"],
  container: string,
  since: bigint,
  unknown: Error,
  signal: AbortSignal,
): Promise<Exit> {
  let exitCode: string | undefined;
  for await (const { type, action, actorId, attributes } of feed.read({ since, until: now() + eventDelay }, signal)) {
    if (type !== "container" || !(actorId.startsWith(container) || attributes["name"] === container)) continue;
    if (action === "die") exitCode = attributes["exitCode"];
    if (action === "destroy") break;
  }
  if (exitCode === undefined) throw unknown;
  return { exitCode: Number(exitCode), error: "" };
}
