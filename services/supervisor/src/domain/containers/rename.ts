import { BerthError, isBerthError } from "@berth/errors";
import { invalid, noSuchContainer } from "../errors.ts";
import { refuseMoving } from "../moves/guard.ts";
import { checkName } from "../validate/names.ts";
import { factsOf } from "./about.ts";
import type { Container } from "./container.ts";
import { claimOrHeal, nameInUse } from "./create.ts";
import { containerEvent } from "./events.ts";
import type { Parts } from "./parts.ts";

/** Throws NAME_IN_USE, INVALID_ARGUMENT, UNAVAILABLE. */
export function rename(parts: Parts, container: Container, newName: string): Promise<void> {
  return container.mutex.run(async () => {
    const { record } = container;
    if (container.removed) throw noSuchContainer(record.name);
    refuseMoving(record);
    if (newName === "") throw invalid("Neither old nor new names may be empty");
    const name = inAllocation(() => checkName(newName.startsWith("/") ? newName : `/${newName}`));
    const oldName = record.name;
    if (name === oldName) throw invalid("Renaming a container with the same name as its current name");
    const owner = parts.registry.byName(name);
    if (owner) throw inAllocation(() => nameInUse(name, owner.id));
    await claimOrHeal(
      parts,
      name,
      record.id,
      factsOf(record.spec, Math.floor(Date.parse(record.created) / 1000)),
    ).catch((error: unknown) => {
      throw prefixed(error);
    });
    parts.fault("rename.claimed");
    record.name = name;
    parts.registry.renamed(container, oldName);
    const renamed = containerEvent(parts.nodeId, record, "rename", { oldName: `/${oldName}` });
    const releaseName = { name: oldName, containerId: record.id };
    await parts.records.commit({ put: record, releaseName, events: [renamed] }).catch((error: unknown) => {
      // What is on the disk counts. The new name, ours and no container's, is given to whoever asks for it next (claimOrHeal).
      record.name = oldName;
      parts.registry.renamed(container, name);
      throw error;
    });
  });
}

function inAllocation<T>(work: () => T): T {
  try {
    const result = work();
    return result instanceof Error ? (prefixed(result) as T) : result;
  } catch (error) {
    throw prefixed(error);
  }
}

function prefixed(error: unknown): unknown {
  if (!isBerthError(error) || !["NAME_IN_USE", "INVALID_ARGUMENT"].includes(error.reason)) return error;
  return new BerthError(error.reason, `Error when allocating new name: ${error.message}`, error.details);
}
