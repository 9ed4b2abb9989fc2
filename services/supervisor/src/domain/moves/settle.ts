import { setTimeout as sleep } from "node:timers/promises";
import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { factsOf } from "../containers/about.ts";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { launch } from "../containers/start.ts";
import { isActive, isRunning } from "../containers/state.ts";
import { stop } from "../containers/stop.ts";
import type { Departure } from "../model.ts";
import { untilDone } from "../sweep.ts";
import { toNano } from "../time.ts";
import { endDeparture } from "./departure.ts";
import { leaveNothing } from "./erase.ts";

export interface Outcome {
  moved: boolean;
  /** Why it could not be started again here; empty: it could, or was not to be. */
  failure: string;
}

/**
 * Finds out whose a container is that was on its way to another node, and does what follows: takes this node's copy away, or has it
 * again, running if it ran. May be called any number of times: one does it, the others hear of it. While NATS is away, or the other
 * node has yet to show that it can run it, this waits. @throws CANCELLED when this process ends before
 */
function settle(parts: Parts, container: Container): Promise<Outcome> {
  container.settling ??= settleOnce(parts, container).finally(() => {
    container.settling = undefined;
  });
  return container.settling;
}

/** As settle(), again and again until it works. @throws CANCELLED when this process ends before */
export async function settleSurely(parts: Parts, container: Container): Promise<Outcome> {
  let outcome: Outcome | undefined;
  await untilDone(
    async () => {
      outcome = await settle(parts, container);
    },
    parts.closing,
    (error) =>
      parts.log.error({ container: container.id, err: error }, "a container that was to move is not settled yet"),
  );
  return outcome ?? { moved: false, failure: "the supervisor is being stopped" };
}

async function settleOnce(parts: Parts, container: Container): Promise<Outcome> {
  const { departure } = container.record;
  if (departure === undefined) return { moved: container.removed, failure: "" };
  // Before all was sent nobody else can have it.
  const owner = departure.sent && !departure.staying ? await ownerOf(parts, container, departure) : "us";
  if (owner === "another") {
    await leaveNothing(parts, container, departure.volumes);
    parts.log.info({ container: container.id, to: departure.to }, "a container has moved to another node");
    return { moved: true, failure: "" };
  }
  if (owner === "nobody") await nameAgain(parts, container);
  return { moved: false, failure: await stay(parts, container, departure) };
}

type Owner = "us" | "another" | "nobody";

/** Whose it is for good: what is not another's can't become so any more. */
async function ownerOf(parts: Parts, { record }: Container, departure: Departure): Promise<Owner> {
  for (const pause of pauses()) {
    try {
      await parts.names.hold(record.name, record.id);
      return "us";
    } catch (error) {
      if (!isBerthError(error)) throw error;
      if (error.reason === "NOT_FOUND") {
        const owner = await ownerWithoutName(parts, record.id, record.name, departure).catch(unlessAway);
        if (owner !== undefined) return owner;
      } else if (error.reason === "CONFLICT") {
        // With `movedFrom` it may come back yet.
        if (error.details.movedFrom !== parts.nodeId) return "another";
      } else unlessAway(error);
    }
    await rest(parts, pause);
  }
  throw new Error("unreachable");
}

/** Renamed there; removed there; or all names of this node were forgotten, and then this is still the only copy. */
async function ownerWithoutName(parts: Parts, id: string, name: string, departure: Departure): Promise<Owner> {
  const owner = await parts.names.ownerOf(name, id);
  if (owner !== undefined) return owner.nodeId === parts.nodeId ? "us" : "another";
  return (await parts.names.toldOfMove(id, toNano(departure.since))) ? "another" : "nobody";
}

/** The name that it had, or one like it when that is another's by now. */
async function nameAgain(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  const about = factsOf(record.spec, Math.floor(Date.parse(record.created) / 1000));
  await untilAnswered(parts, async () => {
    try {
      await parts.names.claim(record.name, record.id, about);
    } catch (error) {
      if (!isBerthError(error) || error.reason !== "NAME_IN_USE") throw error;
      const name = `${record.name}-${record.id.slice(0, 12)}`;
      await parts.names.claim(name, record.id, about);
      const oldName = record.name;
      record.name = name;
      parts.registry.renamed(container, oldName);
    }
  });
}

/** It stays. Gives why it does not run again, if it should. */
async function stay(parts: Parts, container: Container, departure: Departure): Promise<string> {
  const { record } = container;
  // What was told to end must not do so after it counts as running again.
  if (isActive(record) && !departure.staying)
    await stop(parts, container, { signal: "", reference: record.name }).catch((error: unknown) => {
      if (!isBerthError(error) || error.reason !== "NOT_MODIFIED")
        parts.log.warn(
          { container: record.id, err: errorMessage(error) },
          "a container that was to move does not stop",
        );
    });
  return container.mutex.run(async () => {
    if (container.removed) return "";
    const failure = departure.ran && !isRunning(record) ? await startAgain(parts, container, departure) : "";
    record.hasBeenManuallyStopped = departure.hasBeenManuallyStopped;
    endDeparture(parts, container);
    await parts.records.commit({ put: record });
    parts.fault("depart.stayed");
    return failure;
  });
}

async function startAgain(parts: Parts, container: Container, departure: Departure): Promise<string> {
  departure.staying = true;
  await parts.records.commit({ put: container.record });
  parts.fault("depart.staying");
  try {
    await launch(parts, container);
    return "";
  } catch (error) {
    parts.log.warn(
      { container: container.id, err: errorMessage(error) },
      "a container that was to move can't be started again",
    );
    return errorMessage(error);
  }
}

const firstPauseMs = 50;
const longestPauseMs = 2_000;

/** ms, growing without end */
function* pauses(): Generator<number, never> {
  for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) yield pause;
}

/** @throws CANCELLED when this process ends */
async function rest({ closing }: Parts, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: closing }).catch(() => {
    throw new BerthError("CANCELLED", "the supervisor is being stopped");
  });
}

/** Repeats what NATS was needed for until it has answered. @throws what else goes wrong; CANCELLED when this process ends */
export async function untilAnswered<T>(parts: Parts, ask: () => Promise<T>): Promise<T> {
  for (const pause of pauses()) {
    try {
      return await ask();
    } catch (error) {
      unlessAway(error);
    }
    await rest(parts, pause);
  }
  throw new Error("unreachable");
}

function unlessAway(error: unknown): undefined {
  if (!isBerthError(error) || error.reason !== "UNAVAILABLE") throw error;
  return undefined;
}
