import type { BerthError } from "@berth/errors";
import { conflict } from "../errors.ts";
import type { ContainerRecord } from "../model.ts";

/** Between two nodes nobody may change a container: what was changed on the one would be missing on the other. @throws CONFLICT */
export function refuseMoving(record: ContainerRecord): void {
  const problem = movingProblem(record);
  if (problem !== undefined) throw problem;
}

export function movingProblem({ name, departure, arrival }: ContainerRecord): BerthError | undefined {
  if (departure !== undefined) return conflict(`container ${name} is being moved to node ${departure.toName}`);
  if (arrival !== undefined) return conflict(`container ${name} is being moved here from node ${arrival.fromName}`);
  return undefined;
}
