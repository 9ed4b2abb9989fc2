import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { type Destination, depart, manifestOf, type Piece, send } from "./departure.ts";
import { type Outcome, settleSurely } from "./settle.ts";

/** What whoever conducts a move says on the way. */
export interface Orders {
  /** False: it will not be said any more. */
  proceed: Promise<boolean>;
  /** Aborts when it is time to look whose the container is: said, or nobody is there to say anything. */
  settle: AbortSignal;
}

/**
 * One container's way out: its manifest, and once that may proceed, the rest. In the end it is another node's and nothing of it is here,
 * or it is here as it was; also for a caller who leaves. @throws as depart() and send(), when it is here as it was
 */
export async function* leave(
  parts: Parts,
  container: Container,
  to: Destination,
  { proceed, settle }: Orders,
): AsyncGenerator<Piece, Outcome> {
  const leaving = await depart(parts, container, to);
  let failure: unknown;
  let settling: Promise<Outcome> | undefined;
  try {
    yield { $case: "manifest", value: manifestOf(parts, leaving) };
    if (await proceed) {
      yield* send(parts, leaving, settle);
      await aborted(settle);
    }
  } catch (error) {
    if (!settle.aborted) failure = error;
  } finally {
    settling = settleSurely(parts, leaving.container);
    settling.catch(() => undefined);
  }
  const outcome = await settling;
  if (failure !== undefined && !outcome.moved) throw failure;
  return outcome;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
