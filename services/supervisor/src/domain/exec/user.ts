import { checkUser as lookUp } from "@berth/isolation";
import type { Container } from "../containers/container.ts";
import { invalid, notRunning } from "../errors.ts";
import { runningView } from "../files/view.ts";

/** Ids that are in range whatever the container's files say: nothing is to be looked up. */
const plainIds = /^\d{1,9}(:\d{1,9})?$/;

/** Docker refuses a user that the container has not when an exec is made. Throws INVALID_ARGUMENT, CONTAINER_NOT_RUNNING. */
export async function checkUser(container: Container, user: string): Promise<void> {
  if (user === "" || plainIds.test(user)) return;
  const view = runningView(container);
  if (view === undefined) throw notRunning(container.id);
  await lookUp(view, user).catch((error: NodeJS.ErrnoException & { detail?: string }) => {
    if (error.code === "EINVAL" && error.detail) throw invalid(error.detail);
    if (error.code === "ESRCH") throw notRunning(container.id);
    throw error;
  });
}
