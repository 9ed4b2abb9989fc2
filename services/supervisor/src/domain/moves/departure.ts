import { diffLayer } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import type { Parts } from "../containers/parts.ts";
import { isActive } from "../containers/state.ts";
import { stop } from "../containers/stop.ts";
import { conflict, noSuchContainer } from "../errors.ts";
import { drainShipping } from "../logs/ship/shipping.ts";
import type { Departure } from "../model.ts";
import { now } from "../time.ts";
import { portableRecord, writeManifest } from "./manifest.ts";
import { obstacles, type Part, partsOf, volumesOf } from "./plan.ts";

export type Piece =
  | { $case: "manifest"; value: Buffer }
  | { $case: "part"; value: Pick<Part, "kind" | "name"> }
  | { $case: "data"; value: Buffer }
  | { $case: "endOfPart"; value: string }
  | { $case: "whole"; value: Buffer };

export interface Destination {
  nodeId: string;
  nodeName: string;
}

/** A container on its way out. From depart() on it is to be settled (settle.ts), whatever else happens. */
export interface Leaving {
  container: Container;
  departure: Departure;
  revision: number;
}

/** Keeps a container as it is for another node; it runs on. @throws CONFLICT, UNAVAILABLE */
export function depart(parts: Parts, container: Container, to: Destination): Promise<Leaving> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (container.removed) throw noSuchContainer(record.name);
    if (to.nodeId === parts.nodeId) throw conflict(`container ${record.name} is on node ${to.nodeName} already`);
    const found = obstacles(parts, container);
    if (found.length > 0) throw conflict(`container ${record.name} can't be moved: ${found.join("; ")}`);
    const departure: Departure = {
      to: to.nodeId,
      toName: to.nodeName,
      since: now(),
      ran: isActive(record),
      hasBeenManuallyStopped: record.hasBeenManuallyStopped,
      volumes: volumesOf(record),
      sent: false,
      staying: false,
    };
    record.departure = departure;
    for (const volume of departure.volumes) parts.volumes.reserve(volume, `is being moved to node ${to.nodeName}`);
    try {
      const revision = await parts.names.hold(record.name, record.id);
      await parts.records.commit({ put: record });
      parts.fault("depart.marked");
      return { container, departure, revision };
    } catch (error) {
      endDeparture(parts, container);
      throw error;
    }
  });
}

/** It is a container as any other again, once that is recorded. */
export function endDeparture(parts: Parts, { record }: Container): void {
  for (const volume of record.departure?.volumes ?? []) parts.volumes.unreserve(volume);
  delete record.departure;
}

export function manifestOf(parts: Parts, { container: { record }, departure, revision }: Leaving): Buffer {
  const volumes = departure.volumes.flatMap((name) => parts.volumes.record(name) ?? []);
  const { nodeId: from, nodeName: fromName } = parts;
  const shipped = parts.registry.shipped.get(record.id);
  return writeManifest({
    record: portableRecord(record, departure),
    volumes,
    ran: departure.ran,
    from,
    fromName,
    revision,
    shipped,
  });
}

/** Stops the container and gives out all of it. After the last piece the other node may have it. @throws INTERNAL when it does not stop */
export async function* send(parts: Parts, leaving: Leaving, signal: AbortSignal): AsyncGenerator<Piece> {
  const { container, departure } = leaving;
  const { record } = container;
  // With its own signal and time-out.
  if (isActive(record)) await stop(parts, container, { signal: "", reference: record.name }).catch(unlessStopped);
  parts.fault("depart.stopped");
  signal.throwIfAborted();
  await container.mutex.run(() => container.writers.idle());
  await drainShipping(container);
  for (const part of partsOf(parts, record)) {
    yield { $case: "part", value: { kind: part.kind, name: part.name } };
    yield* contentOf(part, signal);
    parts.fault(`depart.${part.kind}`);
  }
  const whole = manifestOf(parts, leaving);
  departure.sent = true;
  await parts.records.commit({ put: record });
  parts.fault("depart.sent");
  yield { $case: "whole", value: whole };
}

async function* contentOf({ path }: Part, signal: AbortSignal): AsyncGenerator<Piece> {
  const pieces = diffLayer({ upper: path, whiteouts: false, faithful: true, signal });
  try {
    for (;;) {
      const { done, value } = await pieces.next();
      if (done) return yield { $case: "endOfPart", value: value.digest };
      yield { $case: "data", value };
    }
  } finally {
    await pieces.return(undefined as never);
  }
}

function unlessStopped(error: unknown): void {
  if ((error as { reason?: string }).reason !== "NOT_MODIFIED") throw error;
}
