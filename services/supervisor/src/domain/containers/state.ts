import type { ContainerRecord, ContainerState, Status } from "../model.ts";

/** From where a container may go where. Removing ends in nothing: the record goes. */
const transitions: Readonly<Record<Status, readonly Status[]>> = {
  created: ["running", "created", "removing", "exited"],
  running: ["paused", "exited", "restarting"],
  paused: ["running", "exited", "restarting"],
  restarting: ["running", "exited", "restarting", "removing"],
  exited: ["running", "exited", "removing"],
  removing: ["dead"],
  dead: ["removing"],
};

/** Changes the state in place. A step that the table does not know is a mistake of ours, never of a caller. */
export function transit(
  record: ContainerRecord,
  to: Status,
  change: Partial<Omit<ContainerState, "status">> = {},
): void {
  const from = record.state.status;
  if (!transitions[from].includes(to)) throw new Error(`container ${record.id}: no step from ${from} to ${to}`);
  Object.assign(record.state, change, { status: to });
}

/** A first process exists. */
export const isRunning = ({ state }: ContainerRecord): boolean =>
  state.status === "running" || state.status === "paused";

/** What Docker calls running: also between two runs of a restart policy. */
export const isActive = (record: ContainerRecord): boolean => isRunning(record) || record.state.status === "restarting";

export function newState(): ContainerState {
  return {
    status: "created",
    pid: 0,
    monitorPid: 0,
    exitCode: 0,
    error: "",
    oomKilled: false,
    startedAt: "",
    finishedAt: "",
  };
}
