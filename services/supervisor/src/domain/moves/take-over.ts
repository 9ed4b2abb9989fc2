import { BerthError, errorMessage, isBerthError } from "@berth/errors";
import { Container } from "../containers/container.ts";
import { containerEvent } from "../containers/events.ts";
import { afterExit } from "../containers/exit.ts";
import type { Parts } from "../containers/parts.ts";
import { launch } from "../containers/start.ts";
import { isRunning } from "../containers/state.ts";
import type { ImportRecord } from "../model.ts";
import { drop, forgetComing } from "./coming.ts";
import { leaveNothing } from "./erase.ts";
import { volumesOf } from "./plan.ts";
import { untilAnswered } from "./settle.ts";

/**
 * Makes a container that has come as a whole this node's, unless the other node has it again. `taken`: it has its name here; `done`: it is
 * here for good. Goes on until that is known, however long NATS is away. Both reject when it stays where it was: then nothing of it is
 * left here.
 */
export function takeOver(parts: Parts, coming: ImportRecord): { taken: Promise<void>; done: Promise<void> } {
  const container = take(parts, coming);
  const taken = container.then(() => undefined);
  const done = container.then((here) => settleArrival(parts, here));
  // Who asks for one of them need not ask for the other.
  for (const step of [taken, done]) step.catch(() => undefined);
  return { taken, done };
}

async function take(parts: Parts, coming: ImportRecord): Promise<Container> {
  const { record, volumes, revision, shipped } = coming;
  const { id, name, arrival } = record;
  try {
    await untilAnswered(parts, () => parts.names.takeOver(name, id, arrival.from, revision));
  } catch (error) {
    // While this process ends nothing is known yet: the next one asks again.
    if (isBerthError(error) && error.reason === "CANCELLED") throw error;
    await drop(parts, coming);
    throw error;
  }
  parts.fault("arrive.taken");
  try {
    await parts.records.commit({
      delImport: id,
      put: record,
      putVolumes: volumes,
      ...(shipped !== undefined && { shipped: { id, position: shipped } }),
    });
  } catch (error) {
    await untilAnswered(parts, () => parts.names.giveBack(name, id));
    await drop(parts, coming);
    throw error;
  }
  parts.fault("arrive.recorded");
  const container = new Container(record, parts.paths.socket(id));
  for (const volume of volumes) parts.volumes.adopt(volume, id);
  if (shipped !== undefined) parts.registry.shipped.set(id, shipped);
  parts.registry.add(container);
  forgetComing(parts, coming);
  return container;
}

/**
 * A container that has its name here shows that it can run here, and stays, or goes back. @throws START_FAILED when it went back;
 * CANCELLED when this process ends before
 */
export async function settleArrival(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  const { arrival } = record;
  if (arrival === undefined) return;
  const failure = arrival.ran ? await tryStart(parts, container) : undefined;
  parts.fault("arrive.started");
  if (failure !== undefined && (await goBack(parts, container))) {
    const why = `cannot start container ${record.name} on node ${parts.nodeName}: ${errorMessage(failure)}`;
    throw new BerthError("START_FAILED", why, {}, { cause: failure });
  }
  await untilAnswered(parts, () => parts.names.hold(record.name, record.id));
  parts.fault("arrive.held");
  await container.mutex.run(async () => {
    delete record.arrival;
    const where = { from: arrival.fromName, to: parts.nodeName };
    await parts.records.commit({ put: record, events: [containerEvent(parts.nodeId, record, "move", where)] });
  });
  parts.log.info({ container: record.id, from: arrival.from }, "a container has moved to this node");
  await afterExit(parts, container);
}

/** After a crash: as {@link settleArrival}, unless its name has gone back, or to nobody, already. */
export async function resumeArrival(parts: Parts, container: Container): Promise<void> {
  const { record } = container;
  if (record.arrival === undefined) return;
  const owner = await untilAnswered(parts, () => parts.names.ownerOf(record.name, record.id));
  if (owner?.nodeId === parts.nodeId) await settleArrival(parts, container);
  else await leaveNothing(parts, container, volumesOf(record));
}

async function tryStart(parts: Parts, container: Container): Promise<unknown> {
  try {
    await container.mutex.run(async () => {
      if (!isRunning(container.record)) await launch(parts, container);
    });
    return undefined;
  } catch (error) {
    return error;
  }
}

/** False when the other node has it no more. */
async function goBack(parts: Parts, container: Container): Promise<boolean> {
  const { record } = container;
  try {
    await untilAnswered(parts, () => parts.names.giveBack(record.name, record.id));
  } catch (error) {
    if (isBerthError(error) && error.reason === "CONFLICT") return false;
    throw error;
  }
  parts.fault("arrive.given-back");
  await leaveNothing(parts, container, volumesOf(record));
  return true;
}
