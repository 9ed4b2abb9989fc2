import { BerthError } from "@berth/errors";

/** The few errors that many places throw; texts are the Engine API's, which clients match on. */
export const invalid = (message: string): BerthError => new BerthError("INVALID_ARGUMENT", message);
/** A user's mistake that Docker finds late and tells as a failure of its own (500). */
export const failed = (message: string): BerthError => new BerthError("INTERNAL", message);
export const conflict = (message: string): BerthError => new BerthError("CONFLICT", message);
export const notFound = (message: string): BerthError => new BerthError("NO_SUCH_VOLUME", message);
export const noSuchContainer = (name: string): BerthError =>
  new BerthError("NO_SUCH_CONTAINER", `No such container: ${name}`);
export const noSuchExec = (id: string): BerthError => new BerthError("NO_SUCH_EXEC", `No such exec instance: ${id}`);
export const notRunning = (id: string): BerthError =>
  new BerthError("CONTAINER_NOT_RUNNING", `container ${id} is not running`);

/** For an option that is understood and not built. `what` names it as a user would ("health checks"). */
export const notBuilt = (what: string): BerthError => new BerthError("NOT_IMPLEMENTED", `${what}: not implemented yet`);
