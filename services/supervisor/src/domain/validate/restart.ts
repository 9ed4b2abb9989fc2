import { invalid } from "../errors.ts";
import type { RestartPolicy } from "../model.ts";

/** Throws INVALID_ARGUMENT with Docker's texts. */
export function checkRestartPolicy(policy: RestartPolicy): void {
  const { name, maximumRetryCount: count } = policy;
  const wrong = (why: string) => invalid(`invalid restart policy: ${why}`);
  if (!["", "no", "always", "unless-stopped", "on-failure"].includes(name)) {
    throw wrong(`unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  }
  if (name === "on-failure") {
    if (count < 0) throw wrong("maximum retry count cannot be negative");
  } else if (count !== 0) {
    throw wrong(`maximum retry count can only be used with 'on-failure'${count < 0 ? " and cannot be negative" : ""}`);
  }
}
